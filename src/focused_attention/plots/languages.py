"""The figure of what heating cross-attention does beyond English: losses, errors, translations."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.hearing import temperature_axis
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
    YELLOW,
)

LOOKS = {  # what a language is called, colour, marker
    "en": ("English", BLUE, "o"),
    "es": ("Spanish", ORANGE, "s"),
    "fr": ("French", GREEN, "^"),
    "it": ("Italian", PURPLE, "v"),
    "ru": ("Russian", VERMILLION, "D"),
    "nl": ("Dutch, acted", SKY, "P"),
    "cs": ("Czech, acted", YELLOW, "X"),
    "mean": ("mean of the first five", BLACK, ""),
}
ACTED = "fillets"  # natural speech: dashed
PANELS = {  # measure: column, title, label
    "loss": ("change", "a. text given", "loss less that at 1 (nats a token)"),
    "wer": ("estimate", "b. text written", "word error rate (%)"),
    "bleu": ("estimate", "c. translated into English", "BLEU"),
}
SPREAD = 0.03  # octaves between the intervals of one language and the next


def languages(heard: pd.DataFrame, model: str = "base") -> Figure:
    """Against the temperature of cross-attention: change of loss, word errors, BLEU.

    `heard` has the columns of `verdicts.languages.table`. Bars are its intervals.
    """
    fig, panels = plt.subplots(1, 3, figsize=(PAGE, 3.1), width_ratios=[1.5, 1, 1])
    table = heard[heard["model"] == model]
    for axes, (measure, (column, title, label)) in zip(panels, PANELS.items(), strict=True):
        part = table[table["measure"] == measure]
        for place, (name, look) in enumerate(LOOKS.items()):
            line = part[part["language"] == name].sort_values("temperature")
            if not (line.empty or (name == "mean" and measure != "loss")):
                aside = 0.0 if name == "mean" else SPREAD * (place - (len(LOOKS) - 2) / 2)
                with_intervals(axes, line, column, look, 2**aside)
        temperature_axis(axes, sorted(part["temperature"].unique()))
        axes.set_title(title, loc="left")
        axes.set_ylabel(label)
    panels[0].axhline(0, color=GREY, linewidth=0.6)
    scaled(panels[0], "symlog", [-0.03, 0, 0.03, 0.1, 0.3, 1, 3], linthresh=0.03)
    panels[0].set_ylim(-0.03, 6)
    scaled(panels[1], "log", [1, 3, 10, 30, 100, 300])
    panels[2].set_ylim(bottom=0)
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def scaled(axes: Axes, scale: str, ticks: list[float], **options) -> None:
    """A scale of y with plain numbers."""
    axes.set_yscale(scale, **options)
    axes.set_yticks(ticks, [f"{value:g}" for value in ticks])
    axes.yaxis.set_minor_locator(plt.NullLocator())


def with_intervals(
    axes: Axes, line: pd.DataFrame, column: str, look: tuple[str, str, str], shift: float
) -> None:
    """A language's line, its intervals moved aside a little so that none hides another."""
    label, colour, marker = look
    dash = "--" if (line["corpus"] == ACTED).all() else "-"
    stem = "change_" if column == "change" else ""
    low, high = line[f"{stem}low"], line[f"{stem}high"]
    errors = np.clip([line[column] - low, high - line[column]], 0, None)
    axes.errorbar(
        line["temperature"] * shift, line[column], yerr=errors, color=colour, linestyle=dash,
        marker=marker, markersize=3, linewidth=1.6 if not marker else 0.9, elinewidth=0.7,
        label=label, zorder=3 if not marker else 2,
    )  # fmt: skip
