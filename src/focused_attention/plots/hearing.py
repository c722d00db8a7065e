"""Figures of notebook 11-whisper: what temperature does to published Whispers.

Losses are nats a token; a temperature multiplies that of every head of a slot, and 1 leaves the
model as released.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PURPLE,
    VERMILLION,
)

CONDITIONS = {  # what they are called, colour, marker
    "keys": ("only silence grows", BLUE, "o"),
    "unpadded": ("speech grows, no padding", VERMILLION, "s"),
    "padded": ("speech grows, padded to 30 s", GREEN, "^"),
}
SCHEDULES = {
    "published-true": ("sharpen_longer true", BLUE, ":"),
    "published-false": ("sharpen_longer false", ORANGE, ":"),
    "sqrt-log": (r"$\sqrt{\log n}$", BLACK, "--"),
    "log": (r"$\log n$", BLACK, "-."),
}
TRAINED = 1500  # keys
SLOTS = ("cross", "encoder", "decoder")


def whole(table: pd.DataFrame, model: str, slot: str = "cross") -> pd.DataFrame:
    """The rows of a model's whole slot, to which nothing else is done."""
    plain = (table["layer"] == "all") & (table["technique"] == "none")
    return table[plain & (table["model"] == model) & (table["slot"] == slot)]


def hearing_keys(losses: pd.DataFrame, optima: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """Loss against temperature where only keys grow, closer around 1, and what it says of keys."""
    fig, axes = plt.subplots(1, 3, figsize=(PAGE, 3.1), width_ratios=[1, 1, 1.1])
    part = whole(losses, model)
    part = part[part["condition"] == "keys"]
    sizes = sorted(part["keys"].unique())
    shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(sizes)))
    for keys, shade in zip(sizes, shades, strict=True):
        curve = part[part["keys"] == keys].sort_values("temperature")
        for axis in axes[:2]:
            axis.plot(
                curve["temperature"], curve["change"], "o-", color=shade, label=f"{keys:.0f} keys",
                markersize=2.5,
            )  # fmt: skip
        near = curve[curve["temperature"].between(0.7, 1.42)]
        errors = [near["change"] - near["change_low"], near["change_high"] - near["change"]]
        shift = 1 + 0.006 * (sizes.index(keys) - len(sizes) / 2)
        axes[1].errorbar(
            near["temperature"] * shift, near["change"], yerr=errors, fmt="none", ecolor=shade,
            elinewidth=0.7,
        )  # fmt: skip
    axes[0].set_yscale("symlog", linthresh=0.1)
    axes[0].set_ylabel("loss less that at 1 (nats a token)")
    axes[1].set_xlim(0.67, 1.48)
    inside = part[part["temperature"].between(0.7, 1.42)]
    low, high = inside["change"].min(), inside["change"].max()
    axes[1].set_ylim(low - 0.02, high + 0.02)
    for axis, title in zip(
        axes[:2], ("a. five octaves", "b. half an octave either way"), strict=True
    ):
        temperature_axis(
            axis, [0.25, 0.5, 1, 2, 4] if axis is axes[0] else [0.71, 0.84, 1, 1.19, 1.41]
        )
        axis.axhline(0, color=GREY, linewidth=0.6)
        axis.set_title(title, loc="left")
    axes[0].legend(
        loc="upper left", ncols=2, fontsize=7, handlelength=1.0, columnspacing=0.8, borderaxespad=0
    )
    axes[0].set_ylim(top=1.6 * part["change"].max() * 4)
    best_temperatures(axes[2], whole(optima, model))
    axes[2].set_title("c. best temperature", loc="left")
    fig.legend(*axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def best_temperatures(axes: Axes, optima: pd.DataFrame) -> None:
    """Best temperature against keys, with the schedules that foretell it."""
    keys = np.geomspace(250, TRAINED, 100)
    foretold = {
        "sqrt-log": np.sqrt(np.log(TRAINED) / np.log(keys)),
        "log": np.log(TRAINED) / np.log(keys),
        "published-true": np.full_like(keys, 1.005),
        "published-false": np.full_like(keys, 0.505),
    }
    for name, values in foretold.items():
        label, colour, dash = SCHEDULES[name]
        axes.plot(keys, values, color=colour, linestyle=dash, linewidth=1.0, label=label)
    for condition, (label, colour, marker) in CONDITIONS.items():
        part = optima[optima["condition"] == condition].sort_values("keys")
        if part.empty:
            continue
        shift = np.linspace(0.985, 1.015, len(part)) if part["keys"].nunique() == 1 else 1.0
        errors = [part["best"] - part["best_low"], part["best_high"] - part["best"]]
        axes.errorbar(
            part["keys"] * shift, part["best"], yerr=errors, fmt=marker, color=colour, label=label,
            markersize=3.5, elinewidth=0.8,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks([256, 512, 1024, 1500], ["256", "512", "1024", "1500"])
    axes.minorticks_off()
    axes.set_xlabel("keys of cross-attention")
    axes.set_ylabel("temperature")
    temperature_axis(axes, [0.5, 0.71, 1, 1.41], "y")
    axes.set_ylim(0.47, 1.5)


def hearing_slots(
    losses: pd.DataFrame, model: str = "tiny.en", condition: str = "padded"
) -> Figure:
    """Loss against temperature in each slot that was heated, a line for every length."""
    found = [slot for slot in SLOTS if not whole(losses, model, slot).empty]
    fig, panels = plt.subplots(1, len(found), figsize=(PAGE, 2.5), sharey=True, squeeze=False)
    for axis, slot in zip(panels[0], found, strict=True):
        part = whole(losses, model, slot)
        part = part[part["condition"] == condition]
        lengths = sorted(part["length"].unique())
        shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(lengths)))
        for length, shade in zip(lengths, shades, strict=True):
            curve = part[part["length"] == length].sort_values("temperature")
            axis.plot(
                curve["temperature"], curve["change"], "o-", color=shade, label=f"{length:.0f} s",
                markersize=2.5,
            )  # fmt: skip
        axis.set_yscale("symlog", linthresh=0.1)
        axis.set_title(slot, loc="left")
        axis.axhline(0, color=GREY, linewidth=0.6)
        temperature_axis(axis, [0.25, 0.5, 1, 2, 4])
    panels[0][0].set_ylabel("loss less that at 1 (nats a token)")
    panels[0][0].legend(loc="upper left", ncols=2, handlelength=1.2)
    return fig


def hearing_layers(losses: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """What heating one layer alone costs, by slot and length."""
    part = losses[(losses["model"] == model) & (losses["layer"] != "all")]
    part = part[part["temperature"] != 1]
    found = [slot for slot in SLOTS if (part["slot"] == slot).any()]
    columns = max(1, len(found))
    fig, panels = plt.subplots(1, columns, figsize=(PAGE, 2.3), sharey=True, squeeze=False)
    colours = dict(
        zip(sorted(part["temperature"].unique()), (BLUE, ORANGE, VERMILLION), strict=False)
    )
    for axis, slot in zip(panels[0], found, strict=True):
        of_slot = part[part["slot"] == slot]
        lengths = sorted(of_slot["length"].unique())
        for (value, length), curve in of_slot.groupby(["temperature", "length"]):
            longest = length == lengths[-1]
            x = curve["layer"].astype(int) + (0.06 if longest else -0.06)
            errors = [curve["change"] - curve["change_low"], curve["change_high"] - curve["change"]]
            axis.errorbar(
                x, curve["change"], yerr=errors, fmt="o-" if longest else "o--",
                color=colours[value], elinewidth=0.8, linewidth=0.8,
                markerfacecolor=colours[value] if longest else "white",
                label=f"T = {value:g}, {length:.0f} s",
            )  # fmt: skip
        axis.set_title(slot, loc="left")
        axis.set_xlabel("layer that is heated alone")
        axis.set_xticks(range(int(of_slot["layer"].astype(int).max()) + 1))
        axis.set_yscale("symlog", linthresh=0.1)
        axis.set_yticks([-0.03, 0, 0.03, 0.06, 0.1], ["−0.03", "0", "0.03", "0.06", "0.1"])
        axis.axhline(0, color=GREY, linewidth=0.6)
    panels[0][0].set_ylabel("loss less that at 1 (nats a token)")
    if found:
        marks = panels[0][0].get_legend_handles_labels()
        fig.legend(*marks, loc="outside lower center", ncols=6, handlelength=1.6)
    return fig


def hearing_spared(spared: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """What it costs to keep few weights of every row, or to give the encoder a window alone.

    `spared` has costs against the untouched model on the same recordings; dotted lines are those of
    the temperature alone.
    """
    part = spared[spared["model"] == model]
    fig, panels = plt.subplots(1, 2, figsize=(PAGE, 2.5), sharey=True)
    kinds = (
        ("topk cross", "weights kept of each row"),
        ("window encoder", "positions either side"),
    )
    colours = {0.71: BLUE, 1.0: BLACK, 1.41: VERMILLION}
    for axis, (kind, label) in zip(panels, kinds, strict=True):
        of_kind = part[part["technique"].str.startswith(kind)].copy()
        of_kind["size"] = of_kind["technique"].str.split().str[-1].astype(int)
        for value, curve in of_kind.groupby("temperature"):
            curve = curve.sort_values("size")
            colour = colours.get(value, PURPLE)
            errors = [curve["cost"] - curve["cost_low"], curve["cost_high"] - curve["cost"]]
            axis.errorbar(
                curve["size"], curve["cost"], yerr=errors, fmt="o-", color=colour,
                elinewidth=0.8, label=f"T = {value:g}",
            )  # fmt: skip
            alone = part[(part["technique"] == "none") & (part["temperature"] == value)]["cost"]
            for cost in alone:
                axis.axhline(cost, color=colour, linewidth=0.7, linestyle=":")
        axis.set_xscale("log", base=2)
        axis.set_xlabel(label)
        sizes = sorted(of_kind["size"].unique())
        axis.set_xticks(sizes, [str(n) for n in sizes])
        axis.minorticks_off()
    panels[0].set_yscale("symlog", linthresh=0.1)
    panels[0].set_yticks([0, 0.05, 0.1, 0.5, 1, 5], ["0", "0.05", "0.1", "0.5", "1", "5"])
    panels[0].set_ylim(bottom=-0.015)
    panels[0].set_ylabel("costs more than untouched\n(nats a token)")
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend()
    return fig


def temperature_axis(axes: Axes, ticks: list[float], which: str = "x") -> None:
    """A logarithmic axis of temperature with plain numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log", base=2)
    axis.set_ticks(ticks, [f"{value:g}" for value in ticks])
    axis.set_minor_locator(plt.NullLocator())
    if which == "x":
        axes.set_xlabel("temperature")
