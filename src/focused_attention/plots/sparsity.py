"""Figures of notebook 07-sparsity: what is lost with small weights, and how many weights are small.

Rates are of recall, fractions in the tables and percent in the figures.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from focused_attention.plots.haystack import (
    SLOTS,
    band,
    bars,
    guessers,
    handles,
    heats,
    legend,
    lengths,
    of_arm,
    present,
    say,
    temperature_axis,
)
from focused_attention.plots.style import BLUE, PAGE, VERMILLION

SHARES = {"below": "below 0.001", "below_uniform": "below 1/n"}


def sparsity_topk(pruning: pd.DataFrame, arm: str, chance: Mapping[str, float]) -> Figure:
    """What one arm recalls with only the largest weights of each row kept, a line a temperature.

    `pruning` has the columns arm, hay, temperature, slot, int8, top_k (missing: all are kept),
    rate, low and high. Down: fewest and most words to be passed over; across: slots. `chance` is
    that of verdicts.json.
    """
    pruning = of_arm(pruning, arm)
    pruning = pruning[~pruning["int8"].astype(bool)]
    kept = sorted(pruning["top_k"].dropna().unique())
    everything = 2 * (kept[-1] if kept else 1)  # where "all" stands
    fig, panels = blocks(pruning, height=2.0)
    for (hay, slot), axes in panels.items():
        part = pruning[(pruning["hay"] == hay) & (pruning["slot"] == slot)]
        part = part.assign(top_k=part["top_k"].fillna(everything))
        if part.empty:
            say(axes, "not measured")
        for value, colour in heats(part["temperature"]).items():
            of = part[part["temperature"] == value]
            label = f"temperature {value:g}"
            band(axes, of, "top_k", "rate", scale=100, color=colour, label=label)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator([*kept, everything]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([*(f"{k:g}" for k in kept), "all"])
    finish(panels, "weights kept in each row", chance)
    legend(fig, handles(*panels.values()), ncols=3)
    return fig


def sparsity_int8(pruning: pd.DataFrame, arm: str, chance: Mapping[str, float]) -> Figure:
    """What one arm recalls against temperature in float32 and in int8, all weights kept.

    `pruning` and `chance` as in `sparsity_topk`.
    """
    pruning = of_arm(pruning, arm)
    pruning = pruning[pruning["top_k"].isna()]
    fig, panels = blocks(pruning, height=1.7)
    for (hay, slot), axes in panels.items():
        part = pruning[(pruning["hay"] == hay) & (pruning["slot"] == slot)]
        for int8, label, colour, aside in (
            (False, "float32", BLUE, 0.97),
            (True, "int8", VERMILLION, 1.03),
        ):
            of = part[part["int8"].astype(bool) == int8].sort_values("temperature")
            rate, low, high = (100 * of[c].astype(float) for c in ("rate", "low", "high"))
            bars(axes, of["temperature"] * aside, rate, low, high, color=colour, label=label)
        if not part["int8"].astype(bool).any():
            say(axes, "not measured" if part.empty else "int8 not measured")
        temperature_axis(axes, "x", pruning["temperature"])
    finish(panels, "temperature", chance)
    legend(fig, handles(*panels.values()))
    return fig


def sparsity_share(averages: pd.DataFrame, arm: str) -> Figure:
    """The share of the weights that are small, against temperature, a line a length.

    `averages` has the columns arm, slot, metric (below and below_uniform, fractions), temperature,
    seconds, mean, low and high.
    """
    averages = of_arm(averages, arm)
    slots = present(averages, "slot", ["encoder", "cross"])
    fig, panels = plt.subplots(
        len(SHARES),
        len(slots),
        figsize=(PAGE, 0.6 + 1.8 * len(SHARES)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for row, (metric, label) in zip(panels, SHARES.items(), strict=True):
        row[0].set_ylabel(f"{label} (% of weights)")
        for axes, slot in zip(row, slots, strict=True):
            part = averages[(averages["metric"] == metric) & (averages["slot"] == slot)]
            for length, colour in lengths(part["seconds"]).items():
                of = part[part["seconds"] == length]
                label = f"{length:.3g} s"
                band(axes, of, "temperature", "mean", scale=100, color=colour, label=label)
            temperature_axis(axes, "x", averages["temperature"])
            axes.set_ylim(0, 103)
    for slot, top, bottom in zip(slots, panels[0], panels[-1], strict=True):
        top.set_title(SLOTS[slot])
        bottom.set_xlabel("temperature")
    legend(fig, handles(*panels.flat), ncols=6)
    return fig


def blocks(pruning: pd.DataFrame, height: float) -> tuple[Figure, dict]:
    """Panels by hay (down: the least and the most) and slot (across)."""
    hays = sorted({pruning["hay"].min(), pruning["hay"].max()}) if len(pruning) else [0]
    slots = present(pruning, "slot", ["encoder", "cross"])
    fig, panels = plt.subplots(
        len(hays),
        len(slots),
        figsize=(PAGE, 0.6 + height * len(hays)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    return fig, {
        (hay, slot): axes
        for hay, row in zip(hays, panels, strict=True)
        for slot, axes in zip(slots, row, strict=True)
    }


def finish(panels: dict, x: str, chance: Mapping[str, float]) -> None:
    """Titles, labels and the lines of the guessers of a matrix of panels by hay and slot."""
    hays, slots = (list(dict.fromkeys(key)) for key in zip(*panels, strict=True))
    for (hay, slot), axes in panels.items():
        axes.set_ylim(0, 103)
        guessers(axes, chance)
        if hay == hays[0]:
            axes.set_title(SLOTS[slot])
        if hay == hays[-1]:
            axes.set_xlabel(x)
        if slot == slots[0]:
            axes.set_ylabel(f"recalled among\n{hay:g} other words (%)")
