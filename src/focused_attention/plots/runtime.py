"""Figures of notebook 03-runtime: time and memory against length, and the focus in training."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from focused_attention.plots.style import GREY, PAGE, Style, legend_below, lines, mechanisms


def time_and_memory(timings: pd.DataFrame, between: tuple[int, int] = (1500, 12000)) -> Figure:
    """Time and peak memory of every mechanism against length, on logarithmic axes.

    `timings` has the columns mechanism, length, forward_ms, forward_floor_ms, both_ms,
    both_floor_ms and peak_mib. Thin lines are the floors: what the counted multiplications and
    bytes would take. A label ends with the growth exponent p of the time of forward and backward,
    time ~ lengthᵖ, between the two lengths, or those that were measured nearest to them.
    """
    looks = mechanisms(list(dict.fromkeys(timings["mechanism"])))
    known = timings["peak_mib"].notna().any()
    titles = {"forward": "forward", "both": "forward and backward"}
    fig, panels = plt.subplots(1, 3 if known else 2, figsize=(PAGE, 2.9))
    for panel, (column, title) in zip(panels[:2], titles.items(), strict=True):
        growing(panel, timings, f"{column}_ms", looks)
        for name, style in looks.items():
            part = timings[timings["mechanism"] == name]
            floor = part[f"{column}_floor_ms"]
            panel.plot(part["length"], floor, color=style.colour, linewidth=0.5, alpha=0.8)
        panel.set(title=title)
    panels[0].set_ylabel("time (ms)")
    if known:
        growing(panels[2], timings, "peak_mib", looks)
        panels[2].set(title="peak memory of both", ylabel="MiB")
    for panel in panels:
        panel.set_xlabel("length (frames)")
    labels = [f"{looks[name].label} ({growth(timings, name, between):.2f})" for name in looks]
    legend_below(fig, panels[0], labels)
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
    train = train.dropna(subset=list(panels_of))
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
        kind = {"color": style.colour, "linestyle": style.dash, "label": style.label}
        panel.plot(part["length"], part[column], marker="o", markersize=2.5, **kind)
    panel.set_xscale("log")
    panel.set_yscale("log")
    lengths = sorted(set(timings["length"]))
    panel.xaxis.set_major_locator(FixedLocator(lengths))
    panel.xaxis.set_minor_locator(FixedLocator([]))
    panel.set_xticks(lengths, [f"{length / 1000:g}k" for length in lengths])
