"""Figures of notebook 04-entropy: how uniform attention is, against length and head by head.

Entropy is normalised, H / log n: 0 where a query attends to one key, 1 where to all n alike.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from focused_attention.plots.haystack import (
    COLLAPSED,
    SLOTS,
    band,
    handles,
    heats,
    layered,
    legend,
    note,
    present,
)
from focused_attention.plots.regimes import grid, last_row, trained, unmeasured
from focused_attention.plots.style import BLACK, GREY, PAGE

METRIC, LABEL = "normalised_entropy", "entropy / log n"
MARKERS = {-1: ("v", "sharper"), 0: ("o", "as trained"), 1: ("^", "softer")}


def entropy_length(averages: pd.DataFrame, heads: pd.DataFrame) -> Figure:
    """Mean entropy of a slot's heads against length, a line with its interval a temperature.

    `averages` is findings/entropy-length.csv; `heads` has the columns arm, seed, filler, slot,
    layer, head, metric, temperature, seconds and mean, drawn as thin lines at temperature 1. Words
    are passed over; the dashed line is temperature 1 where the same lengths are silent.
    """
    averages = averages[averages["metric"] == METRIC]
    thin = as_trained(heads)
    slots = {slot: SLOTS[slot] for slot in present(averages, "slot", ["encoder", "cross"])}
    rows = {arm: f"{words}\n{LABEL}" for arm, words in trained(averages).items()}
    fig, panels = grid(rows, slots, 1.75)
    for (arm, slot), axes in panels.items():
        strip(axes)
        single = thin[(thin["arm"] == arm) & (thin["slot"] == slot)].sort_values("seconds")
        for _, head in single.groupby(["seed", "layer", "head"]):
            axes.plot(head["seconds"], head["mean"], color=GREY, linewidth=0.4, alpha=0.5)
        part = averages[(averages["arm"] == arm) & (averages["slot"] == slot)]
        words = part[part["filler"] == "words"]
        for value, colour in heats(words["temperature"]).items():
            marker, word = MARKERS[(value > 1) - (value < 1)]
            style = {"color": colour, "marker": marker, "markersize": 4}
            of = words[words["temperature"] == value]
            band(axes, of, "seconds", "mean", **style, label=f"temperature {value:g}, {word}")
        quiet = part[(part["filler"] == "silence") & (part["temperature"] == 1)]
        quiet = quiet.sort_values("seconds")
        label = "temperature 1, silence passed over"
        axes.plot(quiet["seconds"], quiet["mean"], "--", color=BLACK, label=label)
        axes.set_ylim(0, 1.03)
    for axes in last_row(panels):
        axes.set_xlabel("seconds")
    line = {"single heads, temperature 1": Line2D([], [], color=GREY, linewidth=0.6)}
    legend(fig, handles(*panels.values()) | line, ncols=3)
    return fig


def entropy_heads(heads: pd.DataFrame) -> Figure:
    """Every head as trained: its entropy in the longest recordings against that in the shortest.

    `heads` as in `entropy_length`. On the diagonal length changes nothing; above it a head becomes
    more uniform. A dot is one head of one seed; within the grey strip it counts as collapsed.
    """
    thin = as_trained(heads)
    if thin.empty:
        return unmeasured()
    slots = {slot: SLOTS[slot] for slot in present(thin, "slot", ["encoder", "cross"])}
    arms = trained(thin)
    colours = layered(thin["layer"])
    ends = sorted({thin["seconds"].min(), thin["seconds"].max()})
    columns = [(arm, slot) for arm in arms for slot in slots]
    fig, panels = plt.subplots(
        1, len(columns), figsize=(PAGE, 2.75), sharex=True, sharey=True, squeeze=False
    )
    for axes, (arm, slot) in zip(panels[0], columns, strict=True):
        axes.set_title(f"{arms[arm]},\n{slots[slot]}", fontsize=8)
        strip(axes)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        cells = thin[(thin["arm"] == arm) & (thin["slot"] == slot)]
        wide = cells.pivot_table(
            index=["seed", "layer", "head"], columns="seconds", values="mean"
        ).reindex(columns=ends)
        for layer, colour in colours.items():
            of = wide[wide.index.get_level_values("layer") == layer]
            style = {"color": colour, "marker": "osv^"[layer % 4], "markeredgewidth": 0}
            label = f"layer {layer + 1}"
            axes.plot(of[ends[0]], of[ends[-1]], linestyle="", alpha=0.75, label=label, **style)
        axes.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
        axes.set_xlabel(f"at {ends[0]:.0f} s")
    panels[0, 0].set_ylabel(f"{LABEL} at {ends[-1]:.0f} s")
    legend(fig, handles(*panels[0]))
    return fig


def as_trained(heads: pd.DataFrame) -> pd.DataFrame:
    """Rows of heads at temperature 1 where words are passed over."""
    if heads.empty:
        return pd.DataFrame(columns=["arm", "seed", "slot", "layer", "head", "seconds", "mean"])
    chosen = (heads["metric"] == METRIC) & (heads["temperature"] == 1)
    return heads[chosen & (heads["filler"] == "words")]


def strip(axes: Axes) -> None:
    """Where a head counts as collapsed."""
    axes.axhspan(COLLAPSED, 1.03, color=GREY, alpha=0.2, linewidth=0)
    note(axes, f"collapsed above {COLLAPSED:g}", COLLAPSED)
