"""The paper's first figure: the task, the intervention, and what it does."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.hearing import temperature_axis, whole
from focused_attention.plots.listened import STEP, numbers
from focused_attention.plots.style import BLACK, BLUE, GREY, ORANGE, PAGE, VERMILLION

MOST = 3.0  # seconds of the recording that are shown


def overview(example: pd.DataFrame, losses: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """Speech whose words have known places; a head's weights at temperatures; what it costs.

    `example` has the rows of trial `example`, `losses` those of what was heard.
    """
    maps = example[example["kind"] == "map"]
    heats = list(dict.fromkeys(maps["temperature"].astype(float)))
    fig = plt.figure(figsize=(PAGE, 2.05), layout="constrained")
    grid = fig.add_gridspec(len(heats), 3, width_ratios=(1.0, 1.15, 1.0))
    sound(fig.add_subplot(grid[:, 0]), example)
    for i, heat in enumerate(heats):
        look(fig.add_subplot(grid[i, 1]), maps, heat, last=i == len(heats) - 1)
    found(fig.add_subplot(grid[:, 2]), whole(losses, model, "cross"))
    return fig


def spoken(example: pd.DataFrame) -> pd.DataFrame:
    """The words that end within what is shown."""
    words = example[example["kind"] == "word"]
    return words[words["end"].astype(float) <= MOST]


def sound(axis: Axes, example: pd.DataFrame) -> None:
    mel = numbers(example[example["kind"] == "mel"])[:, : round(MOST / STEP)]
    axis.imshow(mel, origin="lower", aspect="auto", extent=(0, MOST, 0, len(mel)))
    above = axis.get_xaxis_transform()
    for i, (_, word) in enumerate(spoken(example).iterrows()):
        colour, edges = (BLUE, ORANGE)[i % 2], [float(word["start"]), float(word["end"])]
        bar = {"color": colour, "linewidth": 3, "solid_capstyle": "butt", "clip_on": False}
        axis.plot(edges, [1.03, 1.03], transform=above, **bar)
        axis.text(
            sum(edges) / 2, 1.06, word["label"], transform=above, ha="center", va="bottom",
            fontsize=6.5, color=colour,
        )  # fmt: skip
    axis.set(xlabel="time (s)", ylabel="mel band", yticks=[0, 40, 80])
    axis.set_title("a  speech, words' places known", loc="left", pad=16)
    axis.grid(False)


def look(axis: Axes, maps: pd.DataFrame, heat: float, *, last: bool) -> None:
    """Weights of the tokens at one temperature, in shares of each one's largest."""
    part = maps[maps["temperature"].astype(float) == heat]
    weights = numbers(part)
    axis.imshow(
        weights / weights.max(axis=1, keepdims=True), aspect="auto", cmap="Greys", vmin=0, vmax=1,
        extent=(0, weights.shape[1] * STEP, len(part) - 0.5, -0.5), interpolation="nearest",
    )  # fmt: skip
    axis.set(yticks=[], ylabel=f"T = {heat:g}")
    axis.yaxis.label.set(rotation=0, ha="right", va="center")
    axis.grid(False)
    (written,) = part["written"].fillna("").unique()
    told = written if len(written) < 30 else f"{written[:30].rpartition(' ')[0]} …"
    axis.text(
        0.02, 0.08, f"“{told}”", transform=axis.transAxes, ha="left", va="bottom", fontsize=6.5,
        style="italic", color=VERMILLION,
    )  # fmt: skip
    if last:
        axis.set_xlabel("position heard (s)")
    else:
        axis.tick_params(labelbottom=False)
    if not axis.get_subplotspec().rowspan.start:
        axis.set_title("b  a head at temperature T, and the text", loc="left")


def found(axis: Axes, losses: pd.DataFrame) -> None:
    """What the same words cost at each temperature, with the fewest keys and with the most."""
    part = losses[losses["condition"] == "keys"]
    for keys, colour in zip((part["keys"].min(), part["keys"].max()), (BLUE, BLACK), strict=True):
        curve = part[part["keys"] == keys].sort_values("temperature")
        axis.plot(
            curve["temperature"], curve["change"], "o-", color=colour, markersize=2.5,
            label=f"{keys:.0f} keys",
        )  # fmt: skip
        axis.fill_between(
            curve["temperature"], curve["change_low"], curve["change_high"], color=colour,
            alpha=0.2, linewidth=0,
        )  # fmt: skip
    axis.set_yscale("symlog", linthresh=0.1)
    axis.set_yticks([0, 0.1, 1, 5], ["0", "0.1", "1", "5"])
    axis.axhline(0, color=GREY, linewidth=0.6)
    axis.axvline(1, color=GREY, linewidth=0.6)
    temperature_axis(axis, [0.25, 0.5, 1, 2, 4])
    axis.set_ylim(-0.03, 7.5)
    axis.set_ylabel("loss less that at 1 (nats)")
    axis.set_title("c  what temperature costs", loc="left")
    axis.legend(loc="upper left", handlelength=1.2)
