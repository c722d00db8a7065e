"""One window of a recording: its spectrogram, its words, and where each token was heard."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from focused_attention.plots.style import BLUE, ORANGE, PAGE

ROW = 0.14  # inches for a token
MOST = 12.0  # inches for all of them


def heard(
    features: np.ndarray,
    words: Sequence[tuple[str, float, float]],
    picture: np.ndarray,
    tokens: Sequence[str],
    start: float,
    seconds: float,
) -> Figure:
    """Above, what was said with a bar for each word; below, the cross-attention that timed them.

    features (n_mels, frames); words are (text, start, end) in seconds of the recording; picture
    (len(tokens), positions) is the alignment's; the window is `seconds` long from `start`.
    """
    height = min(MOST, 0.6 + ROW * len(tokens))
    fig, (sound, look) = plt.subplots(
        2,
        1,
        figsize=(2 * PAGE, 2.6 + height),
        height_ratios=(1.6, height),
        sharex=True,
        layout="constrained",
    )
    whole = (start, start + seconds)
    sound.imshow(features, origin="lower", aspect="auto", extent=(*whole, 0, len(features)))
    sound.set(ylabel="mel band", ylim=(0, len(features)))
    above = sound.get_xaxis_transform()
    for i, (text, begin, end) in enumerate(words):
        colour = (BLUE, ORANGE)[i % 2]
        bar = {"color": colour, "linewidth": 4, "solid_capstyle": "butt", "clip_on": False}
        sound.plot([begin, end], [1.04, 1.04], transform=above, **bar)
        sound.text(
            (begin + end) / 2,
            1.1,
            text.strip(),
            transform=above,
            rotation=60,
            rotation_mode="anchor",
            va="bottom",
            fontsize=8,
            color=colour,
        )
    if len(tokens):
        low, high = np.quantile(picture, (0.5, 0.999))
        extent = (*whole, len(tokens) - 0.5, -0.5)
        look.imshow(picture, aspect="auto", extent=extent, vmin=low, vmax=high, cmap="Greys")
        look.set_yticks(range(len(tokens)), tokens, fontsize=6)
    for _, *edges in words:
        for edge in edges:
            look.axvline(edge, color=BLUE, linewidth=0.4, alpha=0.6)
    look.set(xlabel="time (s)", xlim=whole)
    return fig
