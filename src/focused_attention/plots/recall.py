"""Figures of notebook 06-recall: whether the arms learn to find, and what is left with length.

Rates are fractions in the tables and percent in the figures.
"""

import math
from collections.abc import Collection, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from focused_attention.plots.haystack import (
    GATE,
    HOLLOW,
    OUTCOMES,
    SEARCHES,
    band,
    guessers,
    handles,
    legend,
    note,
    of_arm,
    present,
    say,
    temperature_axis,
)
from focused_attention.plots.style import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    Style,
)

ACROSS = 4  # panels of curves
ARMS_ACROSS = 5  # of small multiples
PARTS = {  # of findings/spotting.csv
    "precision": ("precision: written digits that are right", BLUE, "s", "--"),
    "recall": ("recall: digits said that are written", ORANGE, "^", ":"),
    "f1": ("F1", BLACK, "o", "-"),
}


def reach(accuracy: pd.DataFrame, most: dict[str, float]) -> dict[str, float]:
    """Seconds of the longest training recordings of each task, between the lengths measured.

    `accuracy` has the columns task, hay and seconds; `most` is the most hay in training, by task.
    """
    sizes = accuracy.groupby(["task", "hay"])["seconds"].mean()
    return {
        task: float(np.interp(hay, sizes[task].index, sizes[task]))
        for task, hay in most.items()
        if task in sizes.index.get_level_values("task")
    }


def recall_learning(
    dev: pd.DataFrame,
    learning: pd.DataFrame,
    look: dict[str, Style],
    chance: Mapping[str, float],
) -> Figure:
    """How many dev values are recalled along training: a panel an arm, a line a seed.

    `dev` has the columns arm, seed, step, task and first_word (a fraction); `learning` arm, seed
    and transition_step, the first step at which half of the values were right (missing: never),
    where a triangle stands. An arm counts as trained if the mean of its seeds, in bold, ends above
    the gate. `chance` is that of verdicts.json.
    """
    dev = dev[dev["task"] == "recall"]
    arms = [arm for arm in look if arm in set(dev["arm"])] or list(look)[:1]
    across = min(ACROSS, len(arms))
    down = math.ceil(len(arms) / across)
    width = PAGE if across > 1 else COLUMN
    fig, panels = plt.subplots(
        down, across, figsize=(width, 0.8 + 1.6 * down), sharex=True, sharey=True, squeeze=False
    )
    for axes, arm in zip(panels.flat, arms, strict=False):
        runs = dev[dev["arm"] == arm]
        if runs.empty:
            say(axes, "not measured")
        mean = 100 * runs.groupby("step")["first_word"].mean()
        axes.plot(mean.index, mean, color=look[arm].colour)
        for seed, run in runs.groupby("seed"):
            run = run.sort_values("step")
            axes.plot(run["step"], 100 * run["first_word"], color=look[arm].colour, linewidth=0.6)
            of = learning[(learning["arm"] == arm) & (learning["seed"] == seed)]
            step = of["transition_step"].dropna()
            height = 100 * run.set_index("step")["first_word"].reindex(step)
            axes.plot(step, height, "^", color=look[arm].colour, markeredgecolor=BLACK)
        note(axes, f"gate: {100 * GATE:g} %", 100 * GATE)
        guessers(axes, chance)
        axes.set_title(look[arm].label, fontsize=8)
        axes.set_ylim(0, 103)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.xaxis.set_tick_params(labelbottom=True)
    for axes in panels.flat[len(arms) :]:
        axes.set_visible(False)
    for axes in panels[-1]:
        axes.set_xlabel("step")
    for axes in panels[:, 0]:
        axes.set_ylabel("recalled on dev (%)")
    mark = {"marker": "^", "color": "white", "markeredgecolor": BLACK, "linestyle": ""}
    named = {"transition: half are right": Line2D([], [], **mark)}
    legend(fig, named | handles(*panels.flat))
    return fig


def recall_length(
    accuracy: pd.DataFrame,
    look: dict[str, Style],
    trained: dict[str, float],
    chance: Mapping[str, float],
    untrained: Collection[str] = (),
) -> Figure:
    """What every arm finds as trained, against length: a column an arm, a row a task.

    `accuracy` has the columns arm, task, slot, seconds, temperature, rate, low and high (rows at
    temperature 1 are the same in every slot). Bands are intervals; the first arm stands in grey
    behind the others. The rows have axes of their own: what is spotted is drawn in close-up. A
    dotted line stands where the recordings in training end (`trained`: seconds by task). The dots
    of `untrained` arms are hollow. `chance` is that of verdicts.json.
    """
    accuracy = accuracy[(accuracy["temperature"] == 1) & accuracy["arm"].isin(look)]
    accuracy = accuracy.drop_duplicates(["arm", "task", "seconds"])
    tasks = present(accuracy, "task", SEARCHES)
    arms = [arm for arm in look if arm in set(accuracy["arm"])] or list(look)[:1]
    across = min(ARMS_ACROSS, len(arms))
    chunks = math.ceil(len(arms) / across)
    fig, panels = plt.subplots(
        chunks * len(tasks),
        across,
        figsize=(PAGE, 0.9 + 1.35 * chunks * len(tasks)),
        sharex="row" if across > 1 else False,
        squeeze=False,
    )
    for row, axes_of_row in enumerate(panels):
        chunk, turn = divmod(row, len(tasks))
        task = tasks[turn]
        of = accuracy[accuracy["task"] == task]
        for column, axes in enumerate(axes_of_row):
            place = chunk * across + column
            if place >= len(arms):
                axes.set_visible(False)
                continue
            arm = arms[place]
            beside_the_first(axes, of, arm, arms[0], look, hollow=arm in untrained)
            if task == "recall":
                guessers(axes, chance)
            if task in trained:
                axes.axvline(trained[task], color=BLACK, linestyle=":", linewidth=0.8, zorder=1)
            axes.set_ylim(0 if task == "recall" else close_up(of), 103)
            if turn == 0:
                axes.set_title(look[arm].label.replace(", ", "\n"), fontsize=8)
            if turn == len(tasks) - 1:
                axes.set_xlabel("length (s)")
            if column == 0:
                axes.set_ylabel(f"{SEARCHES[task]}: {OUTCOMES[task]}")
            else:
                axes.set_yticklabels([])
    entries = handles(*panels.flat)
    if any(arm in untrained for arm in arms):
        hollow = {"marker": "o", "color": BLACK, "markerfacecolor": HOLLOW, "linestyle": ""}
        entries |= {f"recalls less than {100 * GATE:g} % of dev": Line2D([], [], **hollow)}
    dotted = Line2D([], [], color=BLACK, linestyle=":", linewidth=0.8)
    legend(fig, entries | {"end of training lengths": dotted})
    return fig


def beside_the_first(
    axes, of: pd.DataFrame, arm: str, first: str, look: dict[str, Style], hollow: bool
) -> None:
    """An arm's rates against length with their band, and those of the first arm in grey."""
    if arm != first:
        known = of[of["arm"] == first].sort_values("seconds")
        grey = {"color": GREY, "linewidth": 1.0, "label": f"{look[first].label}, again"}
        axes.plot(known["seconds"], 100 * known["rate"], **grey)
    face = {"markerfacecolor": HOLLOW} if hollow else {}
    style = {"color": look[arm].colour, "markersize": 3.5} | face
    own = of[of["arm"] == arm]
    band(axes, own, "seconds", "rate", scale=100, **style)
    if own.empty:
        say(axes, "not measured")


def close_up(table: pd.DataFrame) -> float:
    """Where an axis in per cent begins so that no interval is cut: a multiple of ten."""
    if table.empty:
        return 0.0
    return max(0.0, 10 * math.floor(10 * table["low"].min()))


def spotting(parts: pd.DataFrame, arm: str) -> Figure:
    """What one arm spots among most prompts, in parts, against the temperature of cross-attention.

    `parts` is findings/spotting.csv: arm, hay, seconds, temperature, measure, rate, low and high.
    Left: precision, recall and F1; right: digits written for each digit asked for.
    """
    parts = of_arm(parts, arm)
    parts = parts[parts["hay"] == parts["hay"].max()]
    fig, (rates, amount) = plt.subplots(1, 2, figsize=(PAGE, 2.6), width_ratios=(3, 2))
    for measure, (label, colour, marker, dash) in PARTS.items():
        of = parts[parts["measure"] == measure]
        style = {"color": colour, "marker": marker, "markersize": 3.5, "linestyle": dash}
        band(rates, of, "temperature", "rate", scale=100, **style, label=label)
    band(amount, parts[parts["measure"] == "written"], "temperature", "rate", color=GREEN)
    note(amount, "as many as asked for", 1.0)
    length = "the longest" if parts.empty else f"{parts['seconds'].max():.3g} s"
    rates.set(title=f"spot, {length}", ylabel="share (%)", ylim=(0, 103))
    amount.set(title="digits written", ylabel="per digit asked for", ylim=(0, None))
    for axes in (rates, amount):
        if parts.empty:
            say(axes, "not measured")
        axes.axvline(1, color=GREY, linewidth=0.8, zorder=1)
        temperature_axis(axes, "x", parts["temperature"])
        axes.set_xlabel("temperature of cross-attention")
    legend(fig, handles(rates, amount))
    return fig
