"""One recording: its spectrogram with the true words, and where a head looks at temperatures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from focused_attention.plots.style import BLUE, ORANGE, PAGE

STEP = 0.02  # seconds of an encoder position


def listened(rows: pd.DataFrame) -> Figure:
    """Above what is heard, with a bar for each word; below a head's weights, a panel a temperature.

    `rows` are those of trial `example`. Each row of weights is drawn in shares of its largest.
    """
    mel = numbers(rows[rows["kind"] == "mel"])
    words, maps = (rows[rows["kind"] == kind] for kind in ("word", "map"))
    heats = list(dict.fromkeys(maps["temperature"]))
    fig, panels = plt.subplots(
        1 + len(heats), 1, figsize=(PAGE, 1.5 + 1.25 * len(heats)), sharex=True,
        height_ratios=[1.1, *[1.0] * len(heats)], layout="constrained",
    )  # fmt: skip
    whole = (0.0, mel.shape[1] * STEP)
    panels[0].imshow(mel, origin="lower", aspect="auto", extent=(*whole, 0, len(mel)))
    panels[0].set(ylabel="mel band", yticks=[0, 40, 80])
    above = panels[0].get_xaxis_transform()
    for i, (_, word) in enumerate(words.iterrows()):
        colour, edges = (BLUE, ORANGE)[i % 2], [float(word["start"]), float(word["end"])]
        panels[0].plot(
            edges, [1.05, 1.05], transform=above, color=colour, linewidth=3.5,
            solid_capstyle="butt", clip_on=False,
        )  # fmt: skip
        panels[0].text(
            sum(edges) / 2, 1.13, word["label"], transform=above, ha="center", va="bottom",
            fontsize=7, color=colour,
        )  # fmt: skip
    for axis, heat in zip(panels[1:], heats, strict=True):
        part = maps[maps["temperature"] == heat]
        weights = numbers(part)
        extent = (*whole, len(part) - 0.5, -0.5)
        axis.imshow(
            weights / weights.max(axis=1, keepdims=True), aspect="auto", extent=extent,
            cmap="Greys", vmin=0, vmax=1, interpolation="nearest",
        )  # fmt: skip
        labels = part["label"].str.strip()
        axis.set_yticks(range(len(part)), labels, fontsize=4.6)
        axis.tick_params(axis="y", length=0, pad=1)
        axis.grid(False)
        for edge in pd.concat([words["start"], words["end"]]).astype(float):
            axis.axvline(edge, color=BLUE, linewidth=0.35, alpha=0.7)
        (written,) = part["written"].fillna("").unique()
        axis.set_title(f"T = {float(heat):g}, written: “{written}”", loc="left", fontsize=8)
    panels[0].grid(False)
    panels[-1].set_xlabel("time (s)")
    return fig


def numbers(rows: pd.DataFrame) -> np.ndarray:
    """The values of rows: (rows, columns)."""
    return np.stack([np.array(values.split(), dtype=float) for values in rows["values"]])
