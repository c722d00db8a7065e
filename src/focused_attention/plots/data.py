"""Figures of notebook 01-data: the corpus, and an utterance with its words."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from focused_attention.plots.style import BLUE, PAGE, SPLITS


def spectrogram(features: np.ndarray, words: pd.DataFrame, seconds_per_frame: float) -> Figure:
    """A log-mel spectrogram (frames, mels) with every word between its known boundaries.

    `words` has the columns word, start and end, in frames.
    """
    n_frames, n_mels = features.shape
    seconds = n_frames * seconds_per_frame
    fig, axes = plt.subplots(figsize=(PAGE, 2.1))
    image = axes.imshow(
        features.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, -0.5, n_mels - 0.5),
        cmap="magma",
        interpolation="nearest",
        rasterized=True,
    )
    for row in words.itertuples():
        start, end = row.start * seconds_per_frame, row.end * seconds_per_frame
        for edge in (start, end):
            axes.axvline(edge, color="white", linewidth=0.8, linestyle=(0, (3, 2)))
        axes.plot([start, end], [n_mels + 1.5] * 2, color=BLUE, linewidth=2.5, clip_on=False)
        axes.annotate(
            row.word,
            ((start + end) / 2, n_mels + 3),
            ha="center",
            va="bottom",
            annotation_clip=False,
        )
    axes.set_ylim(-0.5, n_mels - 0.5)
    kilohertz = np.array([0.5, 1, 2, 4])
    axes.set_yticks(mel_bin(1000 * kilohertz, n_mels), [f"{f:g}" for f in kilohertz])
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)")
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = fig.colorbar(image, ax=axes, pad=0.01, fraction=0.03)
    bar.set_label("normalised log-mel power")
    bar.outline.set_visible(False)
    return fig


def corpus(recordings: pd.DataFrame) -> Figure:
    """How long the recordings are, and how many minutes each split of a language holds.

    `recordings` has the columns corpus, language, split and seconds, one row per recording.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.2), width_ratios=(3, 2))
    sns.histplot(
        recordings,
        x="seconds",
        hue="split",
        hue_order=list(SPLITS),
        palette=SPLITS,
        multiple="stack",
        log_scale=True,
        bins=30,
        alpha=1,
        linewidth=0,
        ax=left,
    )
    left.xaxis.set_major_locator(FixedLocator([0.2, 0.5, 1, 2, 5, 10, 20, 60]))
    left.xaxis.set_minor_locator(FixedLocator([]))
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.set(xlabel="length as recorded (s, logarithmic)", ylabel="recordings")

    groups = recordings.assign(minutes=recordings["seconds"] / 60)
    groups = groups.groupby(["corpus", "language", "split"], as_index=False)["minutes"].sum()
    groups["group"] = groups["corpus"].str.capitalize() + " · " + groups["language"]
    names = list(dict.fromkeys(groups["group"]))
    height = 0.8 / len(SPLITS)
    for offset, (split, colour) in enumerate(SPLITS.items()):
        part = groups[groups["split"] == split].set_index("group")["minutes"].reindex(names)
        rows = np.arange(len(names)) + (offset - 1) * height
        bars = right.barh(rows, part.fillna(0), height=height * 0.9, color=colour)
        right.bar_label(bars, fmt=f"{split} %.1f", padding=3, fontsize=8)
    right.set_yticks(np.arange(len(names)), names)
    right.invert_yaxis()
    right.set_xlim(right=groups["minutes"].max() * 1.45)
    right.set_xlabel("minutes as recorded")
    right.grid(axis="y", visible=False)
    return fig


def mel_bin(hertz: np.ndarray, n_mels: int, top: float = 8000.0) -> np.ndarray:
    """Where frequencies lie among Whisper's mel bins (Slaney's scale: linear below 1 kHz)."""
    hertz = np.append(hertz, top)
    mels = np.where(hertz < 1000, 3 * hertz / 200, 15 + 27 * np.log(hertz / 1000) / np.log(6.4))
    return mels[:-1] / mels[-1] * (n_mels + 1) - 1
