"""Figure of notebook 07-sparsity: what is still bound when only the largest weights are kept."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from focused_attention.plots.haystack import band, handles, heats, legend
from focused_attention.plots.regimes import (
    grid,
    guessing,
    last_row,
    told,
    trained,
    unmeasured,
)


def sparsity_topk(pruning: pd.DataFrame, guessers: Mapping[str, float]) -> Figure:
    """Forced choice with the largest weights of each cross-attention row kept, by temperature.

    `pruning` is findings/pruning.csv (top_k missing: all are kept), `guessers` that of
    verdicts.json. A row of panels for every regime, a column for every length.
    """
    if pruning.empty:
        return unmeasured()
    part = pruning[(pruning["measure"] == "bound") & (pruning["slot"] == "cross")]
    kept = sorted(part["top_k"].dropna().unique())
    everything = 2 * (kept[-1] if kept else 1)  # where "all" stands
    part = part.assign(top_k=part["top_k"].fillna(everything))
    rows = {arm: f"{words}\nforced choice right, %" for arm, words in trained(part).items()}
    fig, panels = grid(rows, told(part), 1.75)
    for (arm, hay), axes in panels.items():
        cells = part[(part["arm"] == arm) & (part["hay"] == hay)]
        for value, colour in heats(cells["temperature"]).items():
            of = cells[cells["temperature"] == value]
            label = f"T = {value:g}"
            band(axes, of, "top_k", "rate", scale=100, color=colour, label=label)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator([*kept, everything]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([*(f"{k:g}" for k in kept), "all"])
        axes.set_ylim(0, 103)
        guessing(axes, guessers)
    for axes in last_row(panels):
        axes.set_xlabel("weights kept in each row of cross-attention")
    legend(fig, handles(*panels.values()), ncols=5)
    return fig
