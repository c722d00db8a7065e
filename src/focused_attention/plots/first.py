"""Figures of notebook 10-first-trial: what is left with length, and what is spotted, in parts.

Rates are fractions in the tables and percent in the figures.
"""

import math
from collections.abc import Collection, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    Style,
)

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


def first_length(
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


def first_parts(parts: pd.DataFrame, arm: str) -> Figure:
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
