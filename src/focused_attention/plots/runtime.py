"""Figures of notebook 03-runtime: time and memory against length, and the focus in training."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from focused_attention.plots.haystack import legend
from focused_attention.plots.style import (
    BLACK,
    DOTTED,
    GREY,
    PAGE,
    Style,
    legend_below,
    lines,
    mechanisms,
)

RATIOS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)  # where ticks may stand


PLAIN = "whisper"  # the mechanism that the others are compared with


def time_and_memory(timings: pd.DataFrame, between: tuple[int, int] = (1500, 12000)) -> Figure:
    """Time of forward and backward of every mechanism against length, and its peak memory.

    `timings` has the columns mechanism, length, rounds, both_ms, both_floor_ms, ratio, ratio_low,
    ratio_high and peak_mib. Left: the times themselves, and dotted their floors: what the
    counted multiplications and bytes would take. Middle: relative to plain attention in the same
    round, median and smallest to largest of the rounds. Right: memory, if it was measured. A label
    ends with the growth exponent p of the time, time ~ lengthᵖ, between the two lengths, or those
    that were measured nearest to them.
    """
    looks = mechanisms(list(dict.fromkeys(timings["mechanism"])))
    known = timings["peak_mib"].notna().any()
    fig, panels = plt.subplots(1, 3 if known else 2, figsize=(PAGE, 3.2))
    times, relative = panels[:2]
    growing(times, timings, "both_ms", looks)
    times.set(title="forward and backward", ylabel="time (ms)")
    for name, style in looks.items():
        part = timings[timings["mechanism"] == name]
        kind = {"color": style.colour, "linewidth": 0.8, "linestyle": DOTTED}
        times.plot(part["length"], part["both_floor_ms"], **kind)
    others = {name: style for name, style in looks.items() if name != PLAIN}
    growing(relative, timings, "ratio", others)
    for name, style in others.items():
        part = timings[timings["mechanism"] == name]
        span = (part["length"], part["ratio_low"], part["ratio_high"])
        relative.vlines(*span, color=style.colour, linewidth=3, alpha=0.45)
    relative.axhline(1, color=BLACK, linewidth=0.9, zorder=1)
    relative.set(title="relative to plain softmax", ylabel="ratio of times")
    extremes = timings[["ratio_low", "ratio_high"]].to_numpy(dtype=float)
    ticks = [t for t in RATIOS if np.nanmin(extremes) / 1.3 < t < np.nanmax(extremes) * 1.3]
    relative.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    relative.yaxis.set_minor_locator(FixedLocator([]))
    if known:
        growing(panels[2], timings, "peak_mib", looks)
        panels[2].set(title="peak memory of both", ylabel="MiB")
    for panel in panels:
        panel.set_xlabel("length (frames)")
    drawn = {line.get_label(): line for line in times.lines}
    entries = {
        f"{style.label} ({growth(timings, name, between):.2f})": drawn[name]
        for name, style in looks.items()
    }
    rounds = timings["rounds"].max()
    floor, span = {"linewidth": 0.8, "linestyle": DOTTED}, {"linewidth": 3, "alpha": 0.6}
    entries |= {
        "floor: what is counted": Line2D([], [], color=GREY, **floor),
        f"smallest to largest of {rounds:g} rounds": Line2D([], [], color=GREY, **span),
    }
    legend(fig, entries, ncols=3)
    return fig


def growth(
    timings: pd.DataFrame, mechanism: str, between: tuple[int, int], column: str = "both_ms"
) -> float:
    """The exponent p of column ~ lengthᵖ between the measured lengths nearest to the two."""
    values = timings[timings["mechanism"] == mechanism].set_index("length")[column]
    short, long = (min(values.index, key=lambda length: abs(length - end)) for end in between)
    if short == long:
        return float("nan")
    return float(np.log(values[long] / values[short]) / np.log(long / short))


def focus(train: pd.DataFrame, look: dict[str, Style]) -> Figure:
    """Span, temperature and the gradient of the span's predictor against the training step.

    `train` has the columns arm, seed, step and, of arms with focused attention, span (encoder
    positions), temperature (relative to standard attention) and predictor_grad_norm. Without such
    an arm the panels say so.
    """
    panels_of = {
        "span": "span (positions)",
        "temperature": "temperature",
        "predictor_grad_norm": "gradient norm of the predictor",
    }
    train = train.reindex(columns=[*dict.fromkeys((*train.columns, *panels_of))])
    train = train[train["arm"].isin(look)].dropna(subset=list(panels_of))
    fig, panels = plt.subplots(1, 3, figsize=(PAGE, 2.15))
    for panel, (column, title) in zip(panels, panels_of.items(), strict=True):
        lines(panel, train, column, look)
        panel.set(title=title, xlabel="step")
        panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        if train.empty:
            where = {"transform": panel.transAxes, "ha": "center", "va": "center"}
            panel.text(0.5, 0.5, "no arm with\nfocused attention", color=GREY, **where)
    panels[0].set_ylim(bottom=0)
    if not train.empty:
        positive = train["predictor_grad_norm"].where(lambda norm: norm > 0)
        least = 1.0 if positive.isna().all() else positive.min()
        panels[2].set_yscale("symlog", linthresh=least)  # zero is a value: no gradient at all
        panels[2].set_ylim(bottom=-0.2 * least)
        legend_below(fig, panels[0])
    return fig


def growing(panel, timings: pd.DataFrame, column: str, looks: dict[str, Style]) -> None:
    """Draw column against length on two logarithmic axes, a line a mechanism."""
    for name, style in looks.items():
        part = timings[timings["mechanism"] == name]
        kind = {"color": style.colour, "linestyle": style.dash, "label": name}
        panel.plot(part["length"], part[column], marker="o", markersize=2.5, **kind)
    panel.set_xscale("log")
    panel.set_yscale("log")
    lengths = sorted(set(timings["length"]))
    panel.xaxis.set_major_locator(FixedLocator(lengths))
    panel.xaxis.set_minor_locator(FixedLocator([]))
    panel.set_xticks(lengths, [f"{length / 1000:g}k" for length in lengths])
