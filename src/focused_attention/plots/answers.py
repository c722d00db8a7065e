"""What is answered in the second trial: forced choice, and kinds of answers, by temperature."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.regimes import (
    FILLERS,
    LENGTHS,
    grid,
    guessing,
    heat_axis,
    last_row,
    points,
    told,
    trained,
    unmeasured,
)
from focused_attention.plots.style import BLACK, BLUE, GREY, ORANGE, PURPLE, SKY

KINDS = {  # of what is written: colour, hatch and words
    "right": (BLUE, "", "right"),
    "swapped": (ORANGE, "//", "another pair's"),
    "unpaired": (SKY, "..", "heard, in no pair"),
    "unheard": (PURPLE, "xx", "never heard"),
    "none": ("#D9D9D9", "", "no digit"),
}
HEATED = "temperature of cross-attention"
CUT = 0.025  # share of resamples at an end of what was tried: what an interval leaves out


def answer_lengths(table: pd.DataFrame, guessers: Mapping[str, float]) -> Figure:
    """Forced choice at temperature 1 against length, by what is passed over and by regime.

    `table` is findings/answers.csv, `guessers` that of verdicts.json.
    """
    part = table[
        (table["measure"] == "bound") & (table["temperature"] == 1) & (table["slot"] == "cross")
    ]
    fig, panels = grid({"": "forced choice right, %"}, trained(part), 2.0)
    for (_, arm), axes in panels.items():
        for filler, (colour, marker, words) in FILLERS.items():
            line = part[(part["arm"] == arm) & (part["filler"] == filler)].sort_values("seconds")
            points(axes, line["seconds"], line, color=colour, marker=marker, label=words)
        guessing(axes, guessers)
        axes.set(xlabel="seconds", ylim=(0, 102))
    first = next(iter(panels.values()))
    fig.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def answer_kinds(table: pd.DataFrame, filler: str = "words") -> Figure:
    """Shares of what is written at every temperature of cross-attention, and forced choice.

    A row of panels for every regime, a column for every length.
    """
    part = table[(table["filler"] == filler) & (table["slot"] == "cross")]
    arms = trained(part)
    rows = {arm: f"{words}\n% of answers" for arm, words in arms.items()}
    fig, panels = grid(rows, told(part), 1.5)
    for (arm, hay), axes in panels.items():
        stacked(axes, part[(part["arm"] == arm) & (part["hay"] == hay)])
    for axes in last_row(panels):
        heat_axis(axes, part["temperature"])
        axes.set_xlabel(HEATED)
    first = next(iter(panels.values()))
    fig.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return fig


def stacked(axes: Axes, cells: pd.DataFrame) -> None:
    """The kinds on top of one another, and the line of forced choice."""
    wide = cells.pivot(index="temperature", columns="measure", values="rate").sort_index() * 100
    x, bottom = np.log2(wide.index), np.zeros(len(wide))
    for name, (colour, hatch, words) in KINDS.items():
        axes.bar(
            x, wide[name], 0.42, bottom, color=colour, hatch=hatch, edgecolor="white",
            linewidth=0.3, label=words,
        )  # fmt: skip
        bottom = bottom + wide[name].to_numpy()
    bound = cells[cells["measure"] == "bound"].sort_values("temperature")
    points(
        axes, np.log2(bound["temperature"]), bound, color=BLACK, marker="o", markersize=2.5,
        linewidth=1.0, capsize=1.5, label="forced choice",
    )  # fmt: skip
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, 100)


def answer_changes(table: pd.DataFrame, filler: str = "words") -> Figure:
    """What forced choice, and what is written, gain over temperature 1, by length and regime."""
    part = table[(table["filler"] == filler) & (table["slot"] == "cross")]
    rows = {arm: f"{words}\nchange, points" for arm, words in trained(part).items()}
    fig, panels = grid(rows, {"bound": "forced choice", "right": "written"}, 1.45)
    for (arm, measure), axes in panels.items():
        changes(axes, part[(part["arm"] == arm) & (part["measure"] == measure)])
    for axes in last_row(panels):
        heat_axis(axes, part["temperature"])
        axes.set_xlabel(HEATED)
    first = next(iter(panels.values()))
    fig.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def changes(axes: Axes, cells: pd.DataFrame) -> None:
    """Differences from temperature 1 in points, a line with its band for every length."""
    for colour, (_, line) in zip(LENGTHS, cells.groupby("hay"), strict=False):
        line = line.sort_values("temperature")
        x = np.log2(line["temperature"])
        label = f"{line['seconds'].iloc[0]:.0f} s"
        axes.plot(x, 100 * line["difference"], "o-", color=colour, markersize=3, label=label)
        low, high = (100 * line[f"difference_{end}"] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.8)


def best_temperatures(table: pd.DataFrame) -> Figure:
    """Which temperatures cross-attention bears, and which is best, against length.

    `table` is findings/slopes.csv. A bar spans the temperatures at which forced choice falls by no
    more than the margin, its ends with their intervals; the dot is where forced choice costs least.
    Hollow: it, or more than `CUT` of its resamples, lies at an end of what was tried.
    """
    if table.empty:
        return unmeasured()
    fig, panels = grid({"": "temperature"}, trained(table), 2.6)
    table = table.dropna(subset=["hay"])
    for (_, arm), axes in panels.items():
        for place, (filler, (colour, _, words)) in enumerate(FILLERS.items()):
            lines = table[(table["arm"] == arm) & (table["filler"] == filler)]
            lines = {name: of.sort_values("hay") for name, of in lines.groupby("quantity")}
            if not lines:
                continue
            best, *ends = (lines[name] for name in ("best", "sharpest", "softest"))
            x = np.log2(best["seconds"].to_numpy()) + 0.16 * (place - 1)
            axes.vlines(x, *(end["octaves"] for end in ends), color=colour, linewidth=4, alpha=0.3)
            for quantity, marker in ((best, "o"), *((end, "_") for end in ends)):
                style = {"color": colour, "marker": marker, "linestyle": "", "markersize": 5}
                label = words if quantity is best else None
                points(axes, x, quantity, "octaves", ("low", "high"), 1, label=label, **style)
                open_ = ((quantity["edge"] == 1) | (quantity["cut"] > CUT)).to_numpy()
                told = quantity["octaves"].to_numpy()[open_]
                hollow = style | {"marker": "o", "markerfacecolor": "white", "markersize": 4.5}
                axes.plot(x[open_], told, **hollow, zorder=3)
        seconds = sorted(table["seconds"].unique())
        axes.set_xticks(np.log2(seconds), [f"{value:.0f}" for value in seconds])
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel("seconds")
        heats = (0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0)
        axes.set_yticks(np.log2(heats), [f"{value:g}" for value in heats])
    hollow = axes.plot([], [], "o", color=BLACK, markerfacecolor="white")[0]
    handles, labels = axes.get_legend_handles_labels()
    fig.legend(
        [*handles, hollow], [*labels, "at an end of what was tried, or its interval is"],
        loc="outside lower center", ncols=4,
    )  # fmt: skip
    return fig
