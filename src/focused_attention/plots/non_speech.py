"""What a published Whisper writes where nobody speaks: temperatures, and heads that are masked."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from focused_attention.plots.hearing import temperature_axis
from focused_attention.plots.style import BLACK, BLUE, GREY, ORANGE, PAGE, PURPLE, VERMILLION

SLOTS = {"cross": (BLUE, "o"), "decoder": (VERMILLION, "s"), "encoder": (PURPLE, "^")}
LAYERS = ((BLUE, "o"), (ORANGE, "s"), (PURPLE, "^"), (VERMILLION, "D"))
NAMED = 3  # heads whose names are written: those that change most


def non_speech(table: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """Clips with a word at every temperature; the decoder's heads masked, on a map and by cost.

    `table` has the columns of `verdicts.non_speech.table`.
    """
    part = table[(table["model"] == model) & (table["kind"] == "all") & (table["times"] == "yes")]
    part = part.assign(
        **{name: part[name].astype(object).fillna("").astype(str) for name in ("heads", "chosen")}
    )
    single = part[(part["heads"] != "") & (part["chosen"] == "")]
    fig, axes = plt.subplots(1, 3, figsize=(PAGE, 3.1), width_ratios=[1.1, 1.15, 1.1])
    temperatures(axes[0], part[part["heads"] == ""])
    heads = single.assign(
        layer=single["heads"].str.split(".").str[0].astype(int),
        head=single["heads"].str.split(".").str[1].astype(int),
    )
    head_map(axes[1], heads)
    against_cost(axes[2], heads, part[part["chosen"] == "both"])
    titles = ("a. temperature", "b. a head masked (points)", "c. what it costs speech")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, loc="left")
    for axis, corner in ((axes[0], "left"), (axes[2], "right")):  # below, where nothing is covered
        fig.legend(
            *axis.get_legend_handles_labels(), loc=f"outside lower {corner}", fontsize=7,
            ncols=2 if corner == "left" else 3, handletextpad=0.4, columnspacing=1.0,
        )  # fmt: skip
    return fig


def temperatures(axes: Axes, rows: pd.DataFrame) -> None:
    """Share of clips with a word by slot, and, dashed, after OpenAI's rule of silence."""
    plain = rows[rows["temperature"] == 1]
    for shift, (slot, (colour, marker)) in zip((0.98, 1.0, 1.02), SLOTS.items(), strict=True):
        own = rows[(rows["slot"] == slot) & (rows["temperature"] != 1)]
        curve = pd.concat([own, plain]).sort_values("temperature")
        for column, dash, face in (("share", "-", colour), ("kept", "--", "white")):
            x, y = curve["temperature"] * shift, 100 * curve[column]
            errors = [y - 100 * curve[f"{column}_low"], 100 * curve[f"{column}_high"] - y]
            axes.errorbar(
                x, y, yerr=errors, fmt=marker, linestyle=dash, color=colour,
                markerfacecolor=face, markersize=3.5, elinewidth=0.7, linewidth=1.0,
                label=slot if column == "share" else None,
            )  # fmt: skip
    temperature_axis(axes, [0.5, 0.71, 1, 1.41, 2])
    axes.set(ylabel="clips with a word (%)", ylim=(0, 102))
    axes.errorbar([], [], fmt="--", color=GREY, linewidth=1.0, label="after the rule of silence")


def head_map(axes: Axes, heads: pd.DataFrame) -> None:
    """The change of the share, in points, by layer and head."""
    change = 100 * heads.pivot(index="layer", columns="head", values="share_change")
    most = max(1.0, np.abs(change.to_numpy()).max())
    axes.imshow(change, aspect="auto", cmap="RdBu_r", norm=TwoSlopeNorm(0, -most, most), alpha=0.85)
    for (layer, head), value in change.stack().items():
        dark = abs(value) > 0.6 * most
        axes.text(
            head, layer, f"{value:+.0f}".replace("-", "−") if round(value) else "0", ha="center",
            va="center", fontsize=7, color="white" if dark else "black",
        )  # fmt: skip
    axes.set(xlabel="head", ylabel="layer")
    axes.set(xticks=range(change.shape[1]), yticks=range(change.shape[0]))
    axes.grid(False)


def against_cost(axes: Axes, heads: pd.DataFrame, together: pd.DataFrame) -> None:
    """Every masked head by what it costs speech and changes of the share, with intervals."""
    groups = [(f"layer {layer}", LAYERS[layer % 4], of) for layer, of in heads.groupby("layer")]
    if len(together):
        groups.append(("three together", (BLACK, "*"), together))
    for label, (colour, marker), of in groups:
        x, y = of["cost"].astype(float), 100 * of["share_change"]
        spread = [x - of["cost_low"].astype(float), of["cost_high"].astype(float) - x]
        errors = [y - 100 * of["share_change_low"], 100 * of["share_change_high"] - y]
        axes.errorbar(
            x, y, xerr=spread, yerr=errors, fmt=marker, color=colour, label=label,
            markersize=7 if marker == "*" else 3.5, elinewidth=0.5, alpha=0.9,
        )  # fmt: skip
    for row in heads.reindex(heads["share_change"].abs().sort_values().index[-NAMED:]).itertuples():
        axes.annotate(
            row.heads, (float(row.cost), 100 * row.share_change), xytext=(4, 3), fontsize=7,
            textcoords="offset points",
        )  # fmt: skip
    axes.set_xscale("symlog", linthresh=0.01)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set(xlabel="loss more than untouched\n(nats a token)", ylabel="clips with a word (points)")
