"""The pictures of docs/mechanisms: rows of weights of untrained layers.

A picture has the same bytes on every run, and other processors round alike but for rare cases:
weights are drawn in few steps, a square each.
"""

import dataclasses
import io
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

POSITIONS, DIMS, HEADS = 24, 64, 4
PLAIN = "whisper"  # the mechanism that is adopted
SHARP = 2.5  # queries and keys are so much longer than as initialised, to be told apart
SMOOTH = 0.8  # correlation of a position with the next
STEPS = 32  # from 0 to the largest weight
SQUARE = 9  # pixels
BOUNDS, NEAR = ("window", "group", "block"), 6  # what settings bound, by their names; and to what


class Weights(NamedTuple):
    """What an untrained layer shows of one sequence."""

    rows: np.ndarray | None  # (T, S) of the first head; None: it has none to show
    adopted: bool  # the random plain layer's weights
    settings: dict[str, int]  # that are not the default


def untrained(name: str) -> Weights:
    """Of mechanism `name`, which adopts a random plain layer if it can."""
    import torch  # on use: it takes seconds

    from focused_attention import attention

    sizes, settings = {"dims": DIMS, "heads": HEADS}, bounded(attention.load(name)[0])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        plain = attention.build(PLAIN, **sizes)
        for part in (plain.query, plain.key):
            part.weight.mul_(SHARP)
        try:
            layer = attention.build(name, **sizes, **settings)
        except ValueError:  # of settings that do not go together
            settings = {}
            layer = attention.build(name, **sizes)
        try:
            adopted = bool(layer.adopt(plain))
        except attention.UnsuitedError:
            adopted = False
        x = torch.from_numpy(walk()).to(plain.query.weight.dtype)[None]
        weights = layer.eval()(x, need_weights=True).weights
    rows = None if weights is None else weights[0, 0].double().numpy()
    return Weights(rows, adopted, settings)


def bounded(config: type) -> dict[str, int]:
    """Settings under which so short a sequence shows what is bounded; the others stay as they are.

    None and what is wider than half the sequence count as no bound.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return {
        name: NEAR
        for name, value in defaults.items()
        if any(bound in name for bound in BOUNDS)
        if value is None or (type(value) is int and value > POSITIONS // 2)
    }


def walk() -> np.ndarray:
    """The input of every picture, (T, D), in which neighbours are alike."""
    x = np.random.default_rng(0).standard_normal((POSITIONS, DIMS))
    for t in range(1, POSITIONS):
        x[t] = SMOOTH * x[t - 1] + (1 - SMOOTH**2) ** 0.5 * x[t]
    return x


def steps(rows: np.ndarray) -> np.ndarray:
    """Weights as whole numbers, of which `STEPS` is the largest.

    >>> steps(np.array([[0.5, 0.25], [0.0, -0.125]])).tolist()
    [[32, 16], [0, -8]]
    """
    largest = np.abs(rows).max()
    return np.rint(STEPS * rows / largest if largest else rows).astype(int)


def picture(rows: np.ndarray) -> bytes:
    """Rows of weights as a PNG; about zero in the middle where some are below it."""
    drawn = np.kron(steps(rows), np.ones((SQUARE, SQUARE), dtype=int))
    low, colours = (-STEPS, "RdBu_r") if drawn.min() < 0 else (0, "viridis")
    file, unnamed = io.BytesIO(), {"Software": None}
    plt.imsave(file, drawn, vmin=low, vmax=STEPS, cmap=colours, format="png", metadata=unnamed)
    return file.getvalue()
