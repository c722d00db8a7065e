"""Figure of notebook 10-first-trial: which temperature finds most.

A temperature multiplies that of every head of a slot at inference; 1 leaves the model as trained.
"""

from collections.abc import Collection

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from focused_attention.plots.haystack import (
    HOLLOW,
    SEARCHES,
    SLOTS,
    bars,
    dodge,
    handles,
    legend,
    present,
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

EDGES = (0.25, 4.0)  # of the grid of temperatures, where there is none


def published(share: np.ndarray, sharpen_longer: bool, temp_scale: float = 0.01) -> np.ndarray:
    """The source's temperature for the share of the longest span, 0 to 1."""
    return 1.0 + temp_scale * (1.0 - share) if sharpen_longer else 0.5 + temp_scale * share


def log_length(frames: np.ndarray, train_length: float) -> np.ndarray:
    """The temperature that keeps pace with log n, 1 at `train_length` visible keys."""
    return np.sqrt(np.log(train_length) / np.log(np.maximum(frames, 2)))


def first_optimum(
    optimum: pd.DataFrame,
    look: dict[str, Style],
    trained: dict[str, float],
    frame_rate: float,
    temperatures: Collection[float],
    train_length: float | None = None,
) -> Figure:
    """The temperature that finds most against length, with the published schedules drawn over it.

    `optimum` has the columns arm, task, slot, seconds, temperature, low and high, an interval of
    the best temperature of the grid `temperatures`. What ends at the grid's edge is open: beyond
    it nothing was tried. A triangle marks the open end of an interval, a hollow dot a best
    temperature that lies on the edge. Where a task's recordings in training end, in seconds
    (`trained`), a dotted line stands. The schedules are those of a span whose share of the longest
    grows from 0 at the left to 1 at the right; `log_length` is 1 at `train_length` encoder
    frames, `frame_rate` a second, or, where that is not known, at the end of recall's training.
    """
    optimum = optimum[optimum["arm"].isin(look)]
    fig, panels = matrix(optimum, height=2.1)
    edges = (min(temperatures), max(temperatures)) if len(temperatures) else EDGES
    for (task, slot), axes in panels.items():
        part = optimum[(optimum["task"] == task) & (optimum["slot"] == slot)]
        seconds = np.linspace(part["seconds"].min(), part["seconds"].max(), 200)
        share = np.linspace(0, 1, 200)
        known = train_length is not None and not np.isnan(train_length)
        length = train_length if known else frame_rate * trained.get("recall", seconds[0])
        for name, values, colour, dash in (
            ("sharpen_longer true", published(share, True), BLUE, "--"),
            ("sharpen_longer false", published(share, False), ORANGE, "--"),
            ("log length", log_length(seconds * frame_rate, length), GREEN, "-."),
        ):
            axes.plot(seconds, values, color=colour, linestyle=dash, linewidth=1.6, label=name)
        arms = [arm for arm in look if arm in set(part["arm"])]
        for place, arm in enumerate(arms):
            of = part[part["arm"] == arm].sort_values("seconds")
            style = {"color": look[arm].colour, "linestyle": "-", "linewidth": 0.8}
            label = f"optimum of {look[arm].label}"
            x = dodge(of["seconds"], place, len(arms))
            bars(axes, x, of["temperature"], of["low"], of["high"], **style, label=label)
            open_ends(axes, x, of, edges, look[arm].colour)
        if task in trained:
            axes.axvline(trained[task], color=GREY, linestyle=":", label="end of training lengths")
        temperature_axis(axes, "y", edges)
        axes.set_ylim(edges[0] / 1.45, edges[1] * 1.45)
    labels(panels, "best temperature", "length (s)")
    hollow = {"color": BLACK, "markerfacecolor": HOLLOW, "linestyle": ""}
    marks = {
        "open: interval ends at the grid's edge": Line2D([], [], marker="v", **hollow),
        "open: best lies on the grid's edge": Line2D([], [], marker="o", **hollow),
    }
    legend(fig, handles(*panels.values()) | marks, ncols=3)
    return fig


def open_ends(axes, x: pd.Series, of: pd.DataFrame, edges: tuple[float, float], colour) -> None:
    """Mark where intervals of a best temperature, and the best itself, end at the grid's edges."""
    style = {"color": colour, "markerfacecolor": HOLLOW, "linestyle": "", "zorder": 3}
    for column, edge, marker, beyond in (
        ("low", edges[0], "v", 1 / 1.22),
        ("high", edges[1], "^", 1.22),
    ):
        at_edge = of[column] == edge
        axes.plot(x[at_edge], of[column][at_edge] * beyond, marker, markersize=5, **style)
    on_edge = of["temperature"].isin(edges)
    axes.plot(x[on_edge], of["temperature"][on_edge], "o", markersize=4, **style)


def matrix(table: pd.DataFrame, height: float) -> tuple[Figure, dict]:
    """Panels by task (down) and slot (across), those that the table has."""
    tasks, slots = (present(table, key, n) for key, n in (("task", SEARCHES), ("slot", SLOTS)))
    fig, panels = plt.subplots(
        len(tasks),
        len(slots),
        figsize=(PAGE, 0.6 + height * len(tasks)),
        sharex="row",
        sharey="row",
        squeeze=False,
    )
    return fig, {
        (task, slot): axes
        for task, row in zip(tasks, panels, strict=True)
        for slot, axes in zip(slots, row, strict=True)
    }


def labels(panels: dict, y: str, x: str) -> None:
    """Titles above, x below, and y at the left of a matrix of panels."""
    tasks, slots = (list(dict.fromkeys(key)) for key in zip(*panels, strict=True))
    for (task, slot), axes in panels.items():
        if task == tasks[0]:
            axes.set_title(SLOTS[slot])
        if task == tasks[-1]:
            axes.set_xlabel(x)
        if slot == slots[0]:
            axes.set_ylabel(f"{SEARCHES[task]}: {y}")
