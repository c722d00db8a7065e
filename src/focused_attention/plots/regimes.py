"""What the figures of the second trial share: regimes, what is passed over, panels, intervals."""

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.haystack import say
from focused_attention.plots.style import BLACK, BLUE, GREEN, GREY, PAGE, SKY, VERMILLION

REGIMES = {"echo": "trained to 13 s", "echo-long": "trained to 60 s"}
FILLERS = {  # what lies between the needles: colour, marker and words
    "words": (VERMILLION, "o", "other words"),
    "prompts": (BLUE, "s", "whole prompts"),
    "silence": (GREEN, "^", "silence"),
}
LENGTHS = (SKY, BLUE, BLACK)  # from the shortest to the longest
UNMEASURED = "not measured in this profile"
BELOW = 0.7  # inches of x's label and the legend


def finding(folder: Path, name: str) -> pd.DataFrame:
    """A table of folder/findings, results/<profile>; one without rows where it is not measured."""
    path = folder / "findings" / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def trained(table: pd.DataFrame) -> dict[str, str]:
    """The regimes that a table has rows of, in words."""
    return {arm: words for arm, words in REGIMES.items() if (table["arm"] == arm).any()}


def told(table: pd.DataFrame, column: str = "hay") -> dict:
    """The sizes of recordings that a table has, the shortest first, in seconds."""
    seconds = table.groupby(column)["seconds"].first().sort_values()
    return {hay: f"{value:.0f} s" for hay, value in seconds.items()}


def prompts(count: float) -> str:
    """How many prompts there are, in words."""
    return f"{count:g} prompt{'s' if count != 1 else ''}"


def grid(
    rows: Mapping[Hashable, str], columns: Mapping[Hashable, str], height: float, **shared
) -> tuple[Figure, dict[tuple, Axes]]:
    """Panels by row, named at the left, and column, named above; `shared` is sharex and sharey."""
    size = PAGE, height * len(rows) + BELOW
    shared = {"sharex": True, "sharey": True} | shared
    fig, panels = plt.subplots(len(rows), len(columns), figsize=size, squeeze=False, **shared)
    for axes, name in zip(panels[0], columns.values(), strict=True):
        axes.set_title(name, loc="left")
    for axes, name in zip(panels[:, 0], rows.values(), strict=True):
        axes.set_ylabel(name)
    return fig, {
        (row, column): axes
        for row, of_row in zip(rows, panels, strict=True)
        for column, axes in zip(columns, of_row, strict=True)
    }


def last_row(panels: Mapping[tuple, Axes]) -> list[Axes]:
    """The panels that stand at the bottom."""
    *_, (bottom, _) = panels
    return [axes for (row, _), axes in panels.items() if row == bottom]


def unmeasured() -> Figure:
    """In place of a figure of which nothing was measured."""
    fig, axes = plt.subplots(figsize=(PAGE, 0.8))
    axes.set(xticks=[], yticks=[])
    say(axes, UNMEASURED)
    return fig


def points(
    axes: Axes, x, part: pd.DataFrame, value: str = "rate", ends: tuple[str, str] | None = None,
    scale: float = 100, **kind,
) -> None:  # fmt: skip
    """Draw a column of `part` at x with its interval, all times `scale`.

    The interval's columns are `ends`: low and high, or of another value those named after it.
    """
    low, high = ends or (("low", "high") if value == "rate" else (f"{value}_low", f"{value}_high"))
    reach = np.stack([part[value] - part[low], part[high] - part[value]]).astype(float)
    bars = {"capsize": 2, "elinewidth": 0.8, "markersize": 3.5} | kind
    axes.errorbar(x, scale * part[value], yerr=scale * reach.clip(min=0), **bars)


def heat_axis(axes: Axes, values: Iterable[float]) -> None:
    """Ticks of temperatures on an axis of their octaves."""
    heats = sorted(set(values))
    axes.set_xticks(np.log2(heats), [f"{value:g}" for value in heats], fontsize=7)


def guessing(axes: Axes, guessers: Mapping[str, float]) -> None:
    """What two guessers of recall score, of those in verdicts.json."""
    for name in ("any heard digit", "any value of a pair"):
        axes.axhline(100 * guessers[name], color=GREY, linestyle=":", linewidth=0.9)
        axes.annotate(
            name, (1, 100 * guessers[name]), (0, 2), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", fontsize=7, color="#555555",
        )  # fmt: skip
