"""Figures of notebook 08-alignment: whether cross-attention looks where the answer is said."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from focused_attention.plots.haystack import (
    COLLAPSED,
    RETRIEVAL,
    handles,
    layered,
    legend,
    note,
    of_arm,
    say,
    temperature_axis,
)
from focused_attention.plots.style import GREY, PAGE

MARKERS = ("o", "s", "^", "D")  # of layers
BAND = (0.1, 0.9)  # quantiles
METRICS = {  # titles, and what a value is multiplied by
    "segment_mass": ("mass on the segment (%)", 100.0),
    "error_ms": ("alignment error (s)", 0.001),
    "retrieved": ("retrieval score (%)", 100.0),
}


def alignment_heads(heads: pd.DataFrame, arm: str) -> Figure:
    """Where each cross-attention head of one arm looks, against length and against temperature.

    `heads` has the columns arm, seed, slot, layer, head, metric (segment_mass, error_ms,
    retrieved), temperature, seconds and mean. A line is the mean of a layer's heads in all seeds;
    its band reaches from the 10th to the 90th percentile of them, so eight in ten heads lie within
    it. Above: at temperature 1; below: at the longest.
    """
    heads = of_arm(heads, arm)
    heads = heads[(heads["slot"] == "cross") & heads["metric"].isin(METRICS)]
    fig, panels = plt.subplots(
        2, len(METRICS), figsize=(PAGE, 4.2), sharex="row", sharey="col", squeeze=False
    )
    cuts = {
        "seconds": heads[heads["temperature"] == 1],
        "temperature": heads[heads["seconds"] == heads["seconds"].max()],
    }
    colours = layered(heads["layer"])
    for row, (x, cut) in zip(panels, cuts.items(), strict=True):
        for axes, (metric, (title, scale)) in zip(row, METRICS.items(), strict=True):
            part = cut[cut["metric"] == metric]
            part = part.assign(mean=scale * part["mean"]).sort_values(x)
            for layer, of in part.groupby("layer"):
                values = of.groupby(x)["mean"]
                low, high = (values.quantile(share) for share in BAND)
                style = {"color": colours[layer], "linewidth": 0}
                axes.fill_between(low.index, low, high, alpha=0.2, **style)
                mean = values.mean()
                style = {"color": colours[layer], "marker": MARKERS[layer % len(MARKERS)]}
                axes.plot(mean.index, mean, **style, label=f"layer {layer + 1}, mean of heads")
            if part.empty:
                say(axes, "not measured")
            if metric == "retrieved":
                note(axes, f"above {100 * RETRIEVAL:g} %: retrieves", 100 * RETRIEVAL)
            if x == "temperature":
                temperature_axis(axes, "x", part[x])
                axes.set_xlabel("temperature")
            else:
                axes.set(xlabel="length (s)", title=title)
    panels[0, 0].set_ylabel("at temperature 1")
    longest = f"at {heads['seconds'].max():.3g} s" if len(heads) else "at the longest"
    panels[1, 0].set_ylabel(longest)
    for axes in panels[0]:  # the columns share their axes, once everything is drawn
        axes.set_ylim(bottom=0)
    shade = Patch(color=GREY, alpha=0.3, linewidth=0)
    within = f"{100 * (BAND[1] - BAND[0]):.0f} % of the heads"
    legend(fig, handles(*panels.flat) | {within: shade})
    return fig


def alignment_sharpness(heads: pd.DataFrame, arm: str) -> Figure:
    """Whether the sharp heads are those that look at the answer: one dot a cross-attention head.

    `heads` as in `alignment_heads`, with the metric normalised_entropy beside them; temperature 1,
    the shortest and the longest length. Right of the dashed line a head is collapsed.
    """
    heads = of_arm(heads, arm)
    heads = heads[(heads["slot"] == "cross") & (heads["temperature"] == 1)]
    ends = sorted({heads["seconds"].min(), heads["seconds"].max()}) if len(heads) else [0.0]
    colours = layered(heads["layer"])
    fig, panels = plt.subplots(
        1, len(ends), figsize=(PAGE, 2.5), sharex=True, sharey=True, squeeze=False
    )
    for axes, end in zip(panels[0], ends, strict=True):
        cell = heads[heads["seconds"] == end]
        table = cell.pivot_table(index=["layer", "seed", "head"], columns="metric", values="mean")
        if {"normalised_entropy", "retrieved"} <= set(table):
            for layer, of in table.groupby("layer"):
                of = of.dropna(subset=["normalised_entropy", "retrieved"])
                style = {"color": colours[layer], "label": f"layer {layer + 1}", "alpha": 0.8}
                style |= {"marker": MARKERS[layer % len(MARKERS)], "linestyle": ""}
                axes.plot(of["normalised_entropy"], 100 * of["retrieved"], **style)
        else:
            say(axes, "not measured")
        kind = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3))}
        axes.axvline(COLLAPSED, **kind, label=f"collapsed above {COLLAPSED:g}")
        axes.set(title=f"{end:.3g} s", xlabel="entropy / log n", xlim=(0, 1.02), ylim=(0, 103))
    panels[0, 0].set_ylabel(METRICS["retrieved"][0])
    legend(fig, handles(*panels[0]), ncols=6)
    return fig
