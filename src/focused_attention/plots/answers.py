"""What is answered in the second trial: kinds of answers, forced choice, and the verdicts."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    VERMILLION,
)

KINDS = {  # of what is written: colour, hatch and words
    "right": (BLUE, "", "right"),
    "swapped": (ORANGE, "//", "another pair's"),
    "unpaired": (SKY, "..", "heard, in no pair"),
    "unheard": (PURPLE, "xx", "never heard"),
    "none": ("#D9D9D9", "", "no digit"),
}
REGIMES = {"echo": "trained to 13 s", "echo-long": "trained to 60 s"}
FILLERS = {  # what lies between the needles: colour, marker and words
    "words": (VERMILLION, "o", "other words"),
    "prompts": (BLUE, "s", "whole prompts"),
    "silence": (GREEN, "^", "silence"),
}
LENGTHS = (SKY, BLUE, BLACK)
TOLD = {"supported": BLUE, "refuted": VERMILLION, "equivalent": GREEN}


def answer_kinds(table: pd.DataFrame, filler: str = "words") -> Figure:
    """Shares of what is written at every temperature of cross-attention, and forced choice.

    A row of panels for every regime, a column for every length.
    """
    part = table[(table["filler"] == filler) & (table["slot"] == "cross")]
    arms = [arm for arm in REGIMES if (part["arm"] == arm).any()]
    hays = sorted(part["hay"].unique())
    size = PAGE, 1.5 * len(arms) + 0.7
    fig, panels = plt.subplots(
        len(arms), len(hays), figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for row, arm in zip(panels, arms, strict=True):
        for axis, hay in zip(row, hays, strict=True):
            cells = part[(part["arm"] == arm) & (part["hay"] == hay)]
            stacked(axis, cells)
            if arm == arms[0]:
                axis.set_title(f"{cells['seconds'].iloc[0]:.0f} s", loc="left")
        row[0].set_ylabel(f"{REGIMES[arm]}\n% of answers")
    heats = sorted(part["temperature"].unique())
    for axis in panels[-1]:
        axis.set_xticks(np.log2(heats), [f"{value:g}" for value in heats], fontsize=7)
        axis.set_xlabel("temperature of cross-attention")
    fig.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
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
    axes.errorbar(
        np.log2(bound["temperature"]), 100 * bound["rate"],
        yerr=100 * np.stack([bound["rate"] - bound["low"], bound["high"] - bound["rate"]]),
        color=BLACK, marker="o", markersize=2.5, linewidth=1.0, elinewidth=0.8, capsize=1.5,
        label="forced choice",
    )  # fmt: skip
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, 100)


def answer_lengths(table: pd.DataFrame, guessers: Mapping[str, float]) -> Figure:
    """Forced choice at temperature 1 against length, by what is passed over and by regime."""
    part = table[
        (table["measure"] == "bound") & (table["temperature"] == 1) & (table["slot"] == "cross")
    ]
    arms = [arm for arm in REGIMES if (part["arm"] == arm).any()]
    fig, panels = plt.subplots(
        1, len(arms), figsize=(PAGE, 2.2), sharex=True, sharey=True, squeeze=False
    )
    for axis, arm in zip(panels[0], arms, strict=True):
        for filler, (colour, marker, words) in FILLERS.items():
            line = part[(part["arm"] == arm) & (part["filler"] == filler)].sort_values("seconds")
            reach = [line["rate"] - line["low"], line["high"] - line["rate"]]
            axis.errorbar(
                line["seconds"], 100 * line["rate"], yerr=100 * np.stack(reach), color=colour,
                marker=marker, capsize=2, elinewidth=0.8, label=words,
            )  # fmt: skip
        for name in ("any heard digit", "any value of a pair"):
            axis.axhline(100 * guessers[name], color=GREY, linestyle=":", linewidth=0.9)
            axis.annotate(
                name, (1, 100 * guessers[name]), (0, 2), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", fontsize=7, color="#555555",
            )  # fmt: skip
        axis.set(title=REGIMES[arm], xlabel="seconds", ylim=(0, 102))
    panels[0, 0].set_ylabel("forced choice right, %")
    panels[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 0.38))
    return fig


def answer_changes(table: pd.DataFrame, filler: str = "words") -> Figure:
    """What forced choice, and what is written, gain over temperature 1, by length and regime."""
    part = table[(table["filler"] == filler) & (table["slot"] == "cross")]
    arms = [arm for arm in REGIMES if (part["arm"] == arm).any()]
    measures = {"bound": "forced choice", "right": "written"}
    size = PAGE, 1.45 * len(arms) + 0.7
    fig, panels = plt.subplots(
        len(arms), len(measures), figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for row, arm in zip(panels, arms, strict=True):
        for axis, measure in zip(row, measures, strict=True):
            cells = part[(part["arm"] == arm) & (part["measure"] == measure)]
            changes(axis, cells)
            if arm == arms[0]:
                axis.set_title(measures[measure], loc="left")
        row[0].set_ylabel(f"{REGIMES[arm]}\nchange, points")
    heats = sorted(part["temperature"].unique())
    for axis in panels[-1]:
        axis.set_xticks(np.log2(heats), [f"{value:g}" for value in heats])
        axis.set_xlabel("temperature of cross-attention")
    panels[0, 0].set_ylim(-40, 12)
    panels[0, 0].legend(loc="lower center")
    return fig


def changes(axes: Axes, cells: pd.DataFrame) -> None:
    for colour, (_, line) in zip(LENGTHS, cells.groupby("hay"), strict=False):
        line = line.sort_values("temperature")
        x = np.log2(line["temperature"])
        axes.plot(x, 100 * line["difference"], color=colour, marker="o", markersize=3,
                  label=f"{line['seconds'].iloc[0]:.0f} s")  # fmt: skip
        axes.fill_between(
            x, 100 * line["difference_low"], 100 * line["difference_high"], color=colour,
            alpha=0.15, linewidth=0,
        )  # fmt: skip
    axes.axhline(0, color=GREY, linewidth=0.8)


def effects(claims: Mapping[str, Mapping], margin: float) -> Figure:
    """Every claim's effect in points with both intervals, and the margin around zero."""
    judged = {name: c for name, c in claims.items() if name != "C0" and c.get("effect") is not None}
    fig, axes = plt.subplots(figsize=(PAGE, 0.33 * len(judged) + 0.8))
    axes.axvspan(-100 * margin, 100 * margin, color="#EEEEEE", linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.8)
    for place, claim in enumerate(judged.values()):
        colour = TOLD.get(claim["verdict"], GREY)
        for low, high, shift, width in (
            ("low", "high", 0.0, 2.0),
            ("model_low", "model_high", 0.22, 0.8),
        ):
            if claim[low] is not None:
                ends = 100 * claim[low], 100 * claim[high]
                axes.plot(ends, [place + shift] * 2, color=colour, linewidth=width)
        axes.plot(100 * claim["effect"], place, "o", color=colour)
        axes.annotate(
            claim["verdict"], (1.01, place), xycoords=("axes fraction", "data"), va="center",
            fontsize=8, color=colour,
        )  # fmt: skip
    axes.set_yticks(range(len(judged)), list(judged))
    axes.invert_yaxis()
    axes.set_xlabel("effect in points; the claimed side is to the right")
    axes.grid(visible=False, axis="y")
    return fig


def best_temperatures(table: pd.DataFrame) -> Figure:
    """The best temperature of forced choice's cost against length, by regime and filler."""
    arms = [arm for arm in REGIMES if (table["arm"] == arm).any()]
    fig, panels = plt.subplots(
        1, len(arms), figsize=(PAGE, 2.1), sharex=True, sharey=True, squeeze=False
    )
    for axis, arm in zip(panels[0], arms, strict=True):
        for filler, (colour, marker, words) in FILLERS.items():
            line = table[(table["arm"] == arm) & (table["filler"] == filler)].dropna(subset=["hay"])
            axis.errorbar(
                np.log2(line["seconds"]), line["best"],
                yerr=np.stack([line["best"] - line["low"], line["high"] - line["best"]]),
                color=colour, marker=marker, capsize=2, elinewidth=0.8, label=words,
            )  # fmt: skip
        seconds = sorted(table["seconds"].dropna().unique())
        axis.set_xticks(np.log2(seconds), [f"{value:.0f}" for value in seconds])
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.set(title=REGIMES[arm], xlabel="seconds")
    heats = (0.71, 0.84, 1.0, 1.19, 1.41)
    panels[0, 0].set_yticks(np.log2(heats), [f"{value:g}" for value in heats])
    panels[0, 0].set_ylabel("best temperature")
    panels[0, 0].legend()
    return fig
