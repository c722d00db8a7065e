"""Figures of when words were said: how far a published Whisper errs, and which heads know.

Errors are in ms, against the boundaries at which single recorded words were joined.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from focused_attention.plots.style import BLUE, GREY, ORANGE, PAGE, VERMILLION

SIDES = {"start": ("starts", BLUE), "end": ("ends", VERMILLION)}
CORRECTED = {"no": ("as told", "-", "o"), "yes": ("less dev's bias", "--", "s")}
MEASURES = {
    "median": "median error (ms)",
    "p90": "90th percentile (ms)",
    "close": "within 50 ms (%)",
}
FULL = 5000.0  # ms: a head that errs more knows nothing
TICKS = (50, 100, 200, 500, 1000, 2000, 5000)  # ms


def word_errors(
    summary: pd.DataFrame,
    *,
    heads: str = "published",
    measure: str = "median",
    best: float | None = None,
    touching: float | None = None,
) -> Figure:
    """Errors of starts and ends against `qk_scale` (left) and the temperature heard with (right).

    `summary` has the columns of `verdicts.times.summary`; one set of heads is drawn, with its
    intervals. Both axes go from soft to sharp. A dotted line stands at the temperature `best`, at
    which the text costs least; a grey one where words that touch err, as told, if every boundary
    lies in the middle of its gap.
    """
    table = summary[summary["heads"] == heads]
    fig, panels = plt.subplots(1, 2, figsize=(PAGE, 2.7), sharey=True)
    both = (
        ("qk_scale", "temperature", "qk_scale of the weights that are looked at"),
        ("temperature", "qk_scale", "temperature of cross-attention in the model"),
    )
    times = 100 if measure == "close" else 1
    for axes, (x, fixed, label) in zip(panels, both, strict=True):
        part = table[table[fixed] == 1].sort_values(x)
        for kind, (side, colour) in SIDES.items():
            for corrected, (said, dash, marker) in CORRECTED.items():
                line = part[(part["kind"] == kind) & (part["corrected"] == corrected)]
                look = {"color": colour, "linestyle": dash, "marker": marker}
                axes.plot(line[x], times * line[measure], **look, label=f"{side}, {said}")
                low, high = (times * line[f"{measure}_{end}"] for end in ("low", "high"))
                axes.fill_between(line[x], low, high, color=colour, alpha=0.12, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(part[x].unique(), [f"{value:g}" for value in part[x].unique()])
        axes.minorticks_off()
        axes.set_xlabel(label)
        if touching is not None:
            axes.axhline(touching, color=GREY, linewidth=0.9, label="boundaries amid gaps, as told")
    if best is not None:
        panels[1].axvline(best, color=GREY, linestyle=":", label="best temperature for the text")
    panels[0].set_ylabel(MEASURES[measure])
    panels[0].set_ylim(bottom=0)
    panels[1].invert_xaxis()
    handles, labels = panels[1].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3)
    return fig


def heads_by_error(heads: pd.DataFrame, *, column: str = "test_both") -> Figure:
    """Every head of cross-attention by the median error of word times that it tells alone.

    `heads` has the columns layer, head, published and chosen, which are empty or a place, and
    `column`, in ms. Framed are the checkpoint's own heads, dotted those chosen by truth.
    """
    error = heads.pivot(index="layer", columns="head", values=column)
    layers, count = error.shape
    fig, axes = plt.subplots(figsize=(min(PAGE, 1.6 + 0.62 * count), 1.1 + 0.34 * layers))
    norm = LogNorm(error.to_numpy().min(), FULL)
    picture = axes.imshow(error, aspect="auto", cmap="viridis", norm=norm)
    for row in heads.itertuples():
        value = getattr(row, column)
        colour = "black" if norm(value) > 0.6 else "white"
        text = f"{value:.0f}" if value < 1000 else f"{value / 1000:.1f} s"
        axes.text(row.head, row.layer, text, ha="center", va="center", fontsize=7, color=colour)
        for known, inset, edge, dash in (
            (row.published, 0.44, ORANGE, "-"),
            (row.chosen, 0.36, "white", ":"),
        ):
            if not (known == "" or np.isnan(float(known))):
                corner = (row.head - inset, row.layer - inset)
                axes.add_patch(
                    Rectangle(
                        corner, 2 * inset, 2 * inset, fill=False, edgecolor=edge, linestyle=dash,
                        linewidth=1.4,
                    )
                )  # fmt: skip
    axes.set(xlabel="head", ylabel="layer", xticks=range(count), yticks=range(layers))
    axes.grid(False)
    bar = fig.colorbar(picture, label="median error (ms)", extend="max")
    bar.set_ticks([value for value in TICKS if norm.vmin <= value <= norm.vmax])
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.minorticks_off()
    return fig
