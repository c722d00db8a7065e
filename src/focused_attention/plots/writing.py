"""Word errors of what a heated Whisper writes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.style import BLACK, BLUE, ORANGE, PAGE, VERMILLION

KINDS = {  # of errors: colour and hatch
    "substitutions": (BLUE, ""),
    "deletions": (ORANGE, "//"),
    "insertions": (VERMILLION, ".."),
}
SLOTS = ("cross", "encoder", "decoder")


def writing(table: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """Substitutions, deletions and insertions per 100 words at each temperature; a row of panels
    for every slot, a column for every length, all on one scale. Bars end at the word error rate,
    which is written above its interval.
    """
    part = table[table["model"] == model]
    slots = [slot for slot in SLOTS if (part["slot"] == slot).any()]
    lengths = sorted(part["length"].unique())
    size = PAGE, 1.25 * len(slots) + 0.7
    fig, panels = plt.subplots(
        len(slots), len(lengths), figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for row, slot in zip(panels, slots, strict=True):
        for axis, length in zip(row, lengths, strict=True):
            bars(axis, part[(part["slot"] == slot) & (part["length"] == length)])
        row[0].set_ylabel(f"{slot}\nper 100 words")
    for axis, length in zip(panels[0], lengths, strict=True):
        axis.set_title(f"{length:g} s", loc="left")
    heats = sorted(part["temperature"].unique())
    for axis in panels[-1]:
        axis.set_xticks(np.log2(heats), [f"{value:g}" for value in heats])
        axis.set_xlabel("temperature")
    fig.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def bars(axes: Axes, cells: pd.DataFrame) -> None:
    """A stack for every temperature."""
    cells = cells.sort_values("temperature")
    x, bottom = np.log2(cells["temperature"]), np.zeros(len(cells))
    for name, (colour, hatch) in KINDS.items():
        axes.bar(
            x, cells[name], 0.36, bottom, color=colour, hatch=hatch, edgecolor="white",
            linewidth=0.4, label=name,
        )  # fmt: skip
        bottom = bottom + cells[name].to_numpy()
    errors = [cells["wer"] - cells["wer_low"], cells["wer_high"] - cells["wer"]]
    axes.errorbar(
        x, cells["wer"], yerr=errors, fmt="none", ecolor=BLACK, elinewidth=0.9, capsize=2,
        label="95 % interval of the sum",
    )  # fmt: skip
    for place, high, rate in zip(x, cells["wer_high"], cells["wer"], strict=True):
        axes.annotate(
            f"{rate:.1f}" if rate < 99.5 else f"{rate:.0f}", (place, high), (0, 2), fontsize=7,
            textcoords="offset points", ha="center", va="bottom",
        )  # fmt: skip
    axes.margins(y=0.12)
    axes.grid(visible=False, axis="x")
