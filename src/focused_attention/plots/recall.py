"""Figures of notebook 06-recall: whether the arms learn to find, and what is left with length."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from focused_attention.plots.haystack import (
    CHANCE,
    GATE,
    OUTCOMES,
    SEARCHES,
    bars,
    dodge,
    handles,
    kind,
    legend,
    note,
    present,
)
from focused_attention.plots.style import BLACK, COLUMN, PAGE, Style

ACROSS = 4  # panels


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


def recall_learning(dev: pd.DataFrame, learning: pd.DataFrame, look: dict[str, Style]) -> Figure:
    """How many dev values are recalled along training: a panel an arm, a line a seed.

    `dev` has the columns arm, seed, step, task and first_word (a fraction); `learning` arm, seed
    and transition_step, the first step at which half of the values were right (missing: never),
    where a triangle stands. An arm counts as trained if the mean of
    its seeds, in bold, ends above the gate.
    """
    dev = dev[dev["task"] == "recall"]
    arms = [arm for arm in look if arm in set(dev["arm"])]
    across = min(ACROSS, max(1, len(arms)))
    down = math.ceil(max(1, len(arms)) / across)
    width = PAGE if across > 1 else COLUMN
    fig, panels = plt.subplots(
        down, across, figsize=(width, 0.8 + 1.6 * down), sharex=True, sharey=True, squeeze=False
    )
    for axes, arm in zip(panels.flat, arms, strict=False):
        of_arm = dev[dev["arm"] == arm]
        mean = 100 * of_arm.groupby("step")["first_word"].mean()
        axes.plot(mean.index, mean, color=look[arm].colour)
        for seed, run in of_arm.groupby("seed"):
            run = run.sort_values("step")
            axes.plot(run["step"], 100 * run["first_word"], color=look[arm].colour, linewidth=0.6)
            of = learning[(learning["arm"] == arm) & (learning["seed"] == seed)]
            step = of["transition_step"].dropna()
            height = 100 * run.set_index("step")["first_word"].reindex(step)
            axes.plot(step, height, "^", color=look[arm].colour, markeredgecolor=BLACK)
        note(axes, f"gate: {100 * GATE:g} %", 100 * GATE)
        note(axes, "chance", 100 * CHANCE, ":")
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
    accuracy: pd.DataFrame, look: dict[str, Style], trained: dict[str, float]
) -> Figure:
    """What every arm finds as trained, against length, with its interval; a panel a task.

    `accuracy` has the columns arm, task, slot, seconds, temperature, rate, low and high (fractions;
    rows at temperature 1 are the same in every slot). A dotted line stands where the recordings
    in training end (`trained`: seconds by task).
    """
    accuracy = accuracy[(accuracy["temperature"] == 1) & accuracy["arm"].isin(look)]
    accuracy = accuracy.drop_duplicates(["arm", "task", "seconds"])
    tasks = present(accuracy, "task", SEARCHES)
    arms = [arm for arm in look if arm in set(accuracy["arm"])]
    height = 2.4 + 0.17 * math.ceil((len(arms) + 2) / 3)  # of the panels and of the legend
    fig, panels = plt.subplots(1, len(tasks), figsize=(PAGE, height), sharey=True, squeeze=False)
    for axes, task in zip(panels[0], tasks, strict=True):
        for place, arm in enumerate(arms):
            part = accuracy[(accuracy["task"] == task) & (accuracy["arm"] == arm)]
            part = part.sort_values("seconds")
            rate, low, high = (100 * part[c] for c in ("rate", "low", "high"))
            x = dodge(part["seconds"], place, len(arms), 0.005)
            style = kind(look[arm]) | {"linewidth": 1, "markersize": 3}
            bars(axes, x, rate, low, high, **style)
        if task == "recall":
            note(axes, "chance", 100 * CHANCE, ":")
        if task in trained:
            axes.axvline(trained[task], color=BLACK, linestyle=":", linewidth=0.8, zorder=1)
        title = f"{SEARCHES[task]}: {OUTCOMES[task]}"
        axes.set(title=title, xlabel="length (s)", ylim=(0, 103))
    dotted = Line2D([], [], color=BLACK, linestyle=":", linewidth=0.8)
    legend(fig, handles(*panels[0]) | {"end of training lengths": dotted})
    return fig
