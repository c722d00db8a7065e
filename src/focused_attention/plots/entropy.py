"""Figures of notebook 04-entropy: how uniform attention is, against length, by head, in training.

Entropy is normalised, H / log n: 0 where a query attends to one key, 1 where to all n alike.
"""

import math

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from focused_attention.plots.haystack import (
    COLLAPSED,
    ONE_HOT,
    SLOTS,
    band,
    handles,
    heats,
    kind,
    legend,
    note,
    of_arm,
    present,
    say,
)
from focused_attention.plots.style import BLACK, GREY, PAGE, Style, lines

METRICS = {"normalised_entropy": "entropy / log n", "effective_support": "exp entropy (positions)"}


def entropy_length(averages: pd.DataFrame, heads: pd.DataFrame, arm: str) -> Figure:
    """Entropy and effective support of one arm against length, a line with interval a temperature.

    `averages` has the columns arm, slot, metric, temperature, seconds, mean, low and high, over the
    heads of a slot; `heads` arm, seed, slot, layer, head, metric, temperature, seconds and mean,
    drawn as thin lines at temperature 1.
    """
    averages, heads = of_arm(averages, arm), of_arm(heads, arm)
    heads = heads[heads["temperature"] == 1]
    fig, panels = grid(averages)
    for (metric, slot), axes in panels.items():
        thin = heads[(heads["metric"] == metric) & (heads["slot"] == slot)]
        for _, head in thin.sort_values("seconds").groupby(["seed", "layer", "head"]):
            axes.plot(head["seconds"], head["mean"], color=GREY, linewidth=0.5, alpha=0.5)
        part = averages[(averages["metric"] == metric) & (averages["slot"] == slot)]
        for value, colour in heats(part["temperature"]).items():
            of = part[part["temperature"] == value]
            marker, word = {-1: ("v", "sharper"), 0: ("o", "as trained"), 1: ("^", "softer")}[
                (value > 1) - (value < 1)
            ]
            style = {"color": colour, "marker": marker, "markersize": 4}
            band(axes, of, "seconds", "mean", **style, label=f"temperature {value:g}, {word}")
    single = Line2D([], [], color=GREY, linewidth=0.6)
    legend(fig, handles(*panels.values()) | {"single heads, temperature 1": single}, ncols=3)
    return fig


def entropy_arms(averages: pd.DataFrame, look: dict[str, Style]) -> Figure:
    """The same of every arm as trained, at temperature 1; `averages` as in `entropy_length`."""
    averages = averages[(averages["temperature"] == 1) & averages["arm"].isin(look)]
    fig, panels = grid(averages)
    for (metric, slot), axes in panels.items():
        part = averages[(averages["metric"] == metric) & (averages["slot"] == slot)]
        for arm, style in look.items():
            if arm in set(part["arm"]):
                band(axes, part[part["arm"] == arm], "seconds", "mean", **kind(style))
    legend(fig, handles(*panels.values()))
    return fig


def grid(averages: pd.DataFrame) -> tuple[Figure, dict]:
    """Panels by metric and slot; within the grey band at the top a head counts as collapsed."""
    slots = present(averages, "slot", ["encoder", "cross"])
    fig, panels = plt.subplots(
        len(METRICS), len(slots), figsize=(PAGE, 4.4), sharex=True, sharey="row", squeeze=False
    )
    found = {}
    for row, (metric, label) in zip(panels, METRICS.items(), strict=True):
        row[0].set_ylabel(label)
        for axes, slot in zip(row, slots, strict=True):
            found[metric, slot] = axes
            if metric == "normalised_entropy":
                axes.set(title=SLOTS[slot], ylim=(0, 1.03))
                axes.axhspan(COLLAPSED, 1.03, color=GREY, alpha=0.2, linewidth=0)
                note(axes, f"collapsed above {COLLAPSED:g}", COLLAPSED)
            else:
                axes.set_yscale("log")
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axes.yaxis.set_minor_locator(NullLocator())
    for axes in panels[-1]:
        axes.set_xlabel("length (s)")
    return fig, found


def entropy_heads(heads: pd.DataFrame, arm: str, temperature: float = 1.0) -> Figure:
    """Normalised entropy of every head of one arm at the shortest and the longest length.

    `heads` has the columns arm, seed, slot, layer, head, metric, temperature, seconds and mean. A
    ring marks a collapsed head (entropy above 0.95), a cross one that copies (largest weight above
    0.99), both in the mean over its rows.
    """
    heads = of_arm(heads, arm)
    heads = heads[heads["temperature"] == temperature]
    slots = present(heads, "slot", ["encoder", "cross"])
    ends = sorted({heads["seconds"].min(), heads["seconds"].max()}) if len(heads) else [0.0]
    rows = [heads[heads["slot"] == slot][["seed", "layer"]].drop_duplicates() for slot in slots]
    fig, panels = plt.subplots(
        len(slots),
        len(ends),
        figsize=(PAGE, 1.0 + sum(0.35 + 0.2 * max(1, len(part)) for part in rows)),
        height_ratios=[max(1, len(part)) for part in rows],
        squeeze=False,
    )
    image = None
    for slot, row in zip(slots, panels, strict=True):
        for end, axes in zip(ends, row, strict=True):
            cell = heads[(heads["slot"] == slot) & (heads["seconds"] == end)]
            image = chart(axes, cell) or image
            axes.set_title(f"{SLOTS[slot]}, {end:.3g} s")
        for axes in row[1:]:
            axes.set_yticklabels([])
    for axes in panels[-1]:
        axes.set_xlabel("head")
    if image is not None:
        bar = fig.colorbar(image, ax=panels, pad=0.01, fraction=0.04, aspect=30)
        bar.set_label(METRICS["normalised_entropy"])
        bar.outline.set_visible(False)
    ring = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": BLACK}
    cross = {"marker": "X", "markerfacecolor": BLACK, "markeredgecolor": "white"}
    marks = {
        f"collapsed (above {COLLAPSED:g})": ring,
        f"one-hot (largest above {ONE_HOT:g})": cross,
    }
    dot = {"linestyle": "", "markersize": 6}
    legend(fig, {name: Line2D([], [], **dot, **mark) for name, mark in marks.items()})
    return fig


def chart(axes, cell: pd.DataFrame):
    """A chart of heads (seed and layer down, head across) with its marks; None without heads."""
    tables = {
        metric: part.pivot_table(index=["seed", "layer"], columns="head", values="mean")
        for metric, part in cell.groupby("metric")
    }
    axes.grid(False)
    if "normalised_entropy" not in tables:
        say(axes, "not measured")
        return None
    values = tables["normalised_entropy"]
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    marks = {
        "o": (values > COLLAPSED, "white", BLACK),
        "X": (tables.get("largest", 0 * values) > ONE_HOT, BLACK, "white"),
    }
    for marker, (marked, face, edge) in marks.items():
        rows, columns = marked.to_numpy().nonzero()
        axes.scatter(columns, rows, marker=marker, s=22, color=face, edgecolor=edge, linewidth=0.8)
    axes.set_xticks(range(values.shape[1]), [head + 1 for head in values.columns])
    several = values.index.get_level_values("seed").nunique() > 1
    axes.set_yticks(
        range(len(values)),
        [f"seed {s}, layer {n + 1}" if several else f"layer {n + 1}" for s, n in values.index],
    )
    return image


def entropy_training(dev: pd.DataFrame, look: dict[str, Style]) -> Figure:
    """Normalised entropy on dev utterances against the training step, a panel a slot.

    `dev` has the columns arm, seed, step, task, encoder_entropy and cross_entropy, means over the
    heads of a slot. A thin line is one seed, the bold one the mean of an arm's seeds.
    """
    height = 2.1 + 0.17 * math.ceil((len(look) + 1) / 3)  # of the panels and of the legend
    fig, panels = plt.subplots(1, 2, figsize=(PAGE, height), sharey=True)
    for axes, slot in zip(panels, ("encoder", "cross"), strict=True):
        column = f"{slot}_entropy"
        axes.set(title=SLOTS[slot], xlabel="step", ylim=(0, 1.03))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if column in dev and dev[column].notna().any():
            known = dev.dropna(subset=column)
            steps = known.groupby(["arm", "seed", "step"], as_index=False)[column].mean()
            lines(axes, steps, column, look)
            note(axes, f"collapsed above {COLLAPSED:g}", COLLAPSED)
        else:
            say(axes, "not measured")
    panels[0].set_ylabel(METRICS["normalised_entropy"])
    legend(fig, handles(*panels))
    return fig
