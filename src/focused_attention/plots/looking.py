"""Where attention looks against length, and what hiding keys does to temperatures."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.hearing import CONDITIONS, temperature_axis
from focused_attention.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, VERMILLION

LAYERS = (BLUE, ORANGE, GREEN, VERMILLION)
ROWS = {  # measure: label
    "share": "entropy / log n",
    "support_ms": "effective support (s)",
    "silence": "mass on silence",
}
READINGS = {"best": "best", "softest": "0.1 nats more", "softest_nat": "1 nat more"}


def looking(table: pd.DataFrame, model: str = "tiny.en", slot: str = "cross") -> Figure:
    """Entropy, effective support and mass on silence of a slot's rows, by condition.

    Thick: the mean of all heads with its interval; thin: each head, in its layer's colour; dotted:
    a row that looks everywhere alike.
    """
    part = table[(table["model"] == model) & (table["temperature"] == 1)]
    conditions = [name for name in CONDITIONS if (part["condition"] == name).any()]
    size = PAGE, 1.65 * len(ROWS) + 0.7
    fig, panels = plt.subplots(
        len(ROWS), len(conditions), figsize=size, sharex="col", sharey="row", squeeze=False
    )
    for column, condition in zip(panels.T, conditions, strict=True):
        cells = part[part["condition"] == condition]
        place = "length" if condition == "padded" else "keys"
        for axis, name in zip(column, ROWS, strict=True):
            draw(axis, cells, slot, place, name)
        column[0].set_title(CONDITIONS[condition][0], loc="left")
        label = "speech (s), always 1500 keys" if place == "length" else "keys"
        column[-1].set_xlabel(label)
        if place == "keys":
            column[-1].set_xscale("log", base=2)
            column[-1].set_xticks([256, 512, 1024, 1500], ["256", "512", "1024", "1500"])
            column[-1].minorticks_off()
    for row, (name, label) in zip(panels, ROWS.items(), strict=True):
        row[0].set_ylabel(label)
        if name == "support_ms":
            row[0].set_yscale("log")
            row[0].set_yticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
            row[0].minorticks_off()
        else:
            row[0].set_ylim(-0.02, 1.04)
    handles, names = panels[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=6)
    return fig


def draw(axes: Axes, cells: pd.DataFrame, slot: str, place: str, name: str) -> None:
    """One measure of one condition."""
    scale = 1e-3 if name == "support_ms" else 1.0
    chance = cells[cells["slot"] == "uniform"].sort_values(place)
    own = cells[cells["slot"] == slot].copy()
    heads = own[own["head"].astype(str) != "all"].copy()
    heads["layer"] = heads["layer"].astype(int)
    drawn = set()
    for (layer, _), head in heads.groupby(["layer", "head"]):
        head = head.sort_values(place)
        label = None if layer in drawn else f"layer {layer}"
        drawn.add(layer)
        axes.plot(
            head[place], scale * head[name], color=LAYERS[layer % len(LAYERS)], linewidth=0.6,
            alpha=0.7, label=label,
        )  # fmt: skip
    mean = own[own["head"].astype(str) == "all"].sort_values(place)
    if name == "support_ms":  # 20 ms a position
        low, high = (20 * mean[f"support_{end}"] for end in ("low", "high"))
    else:
        low, high = mean[f"{name}_low"], mean[f"{name}_high"]
    errors = [scale * (mean[name] - low), scale * (high - mean[name])]
    axes.errorbar(
        mean[place], scale * mean[name], yerr=errors, fmt="o-", color=BLACK, linewidth=2.0,
        markersize=3, elinewidth=1.0, label="mean of heads",
    )  # fmt: skip
    axes.plot(chance[place], scale * chance[name], color=GREY, linestyle=":", label="uniform")


def hidden_keys(table: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """Best and tolerated temperature of cross-attention against its keys: with the silence heard,
    and with the same encoding of which a part is hidden."""
    part = table[(table["model"] == model) & ~table["of"].str.startswith("slope")]
    kinds = {"keys": ("silence is heard", BLUE, "o"), "hidden": ("keys are hidden", BLACK, "s")}
    fig, panels = plt.subplots(1, len(READINGS), figsize=(PAGE, 2.5), sharey=True)
    for axis, (name, title) in zip(panels, READINGS.items(), strict=True):
        for i, (condition, (label, colour, marker)) in enumerate(kinds.items()):
            rows = part[(part["condition"] == condition) & (part["of"] == name)]
            keys = rows["keys"].astype(float)
            errors = [rows["estimate"] - rows["low"], rows["high"] - rows["estimate"]]
            axis.errorbar(
                keys * (0.985 + 0.03 * i), rows["estimate"], yerr=errors, fmt=f"{marker}-",
                color=colour, label=label, markersize=3.5, elinewidth=0.8,
            )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set_xticks([256, 512, 1024, 1500], ["256", "512", "1024", "1500"])
        axis.minorticks_off()
        axis.set_xlabel("keys of cross-attention")
        axis.set_title(title, loc="left")
    temperature_axis(panels[0], [0.71, 0.84, 1, 1.19, 1.41, 2], "y")
    panels[0].set_ylabel("temperature")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig
