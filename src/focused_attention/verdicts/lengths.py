"""How the best temperature and the tolerated ones move with the number of keys.

Losses a token L(T) of the same recordings at several temperatures, in conditions that differ in the
number of keys n. The best temperature is the vertex of a parabola through L against log2 T: of all
that lie in a planned range (`best`), or of the lowest and its neighbours (`lowest`). The
tolerance the T at which L has risen by a margin; their slopes against log2 n are what schedules of
temperature foretell: log2 T* = slope * log2 n + level.

Intervals are over recordings and, independently, over the prompts that recordings share: a
recording counts as often as it is drawn, times the mean of how often its prompts are.
"""

from collections.abc import Sequence

import numpy as np

from focused_attention.verdicts.statistics import resampled_weights

AROUND = (0.71, 1.41)  # temperatures of the parabola
RISE = 0.1  # nats a token that are tolerated


def weights_of(recordings: Sequence[Sequence[str]], resamples: int, seed: int = 0) -> np.ndarray:
    """Weights of recordings, each with the prompts it holds: (resamples + 1, n), summing to 1.

    The first row is the data as they are.
    """
    names = sorted({name for held in recordings for name in held})
    place = {name: i for i, name in enumerate(names)}
    share = np.zeros((len(recordings), len(names)))
    for row, held in zip(share, recordings, strict=True):
        for name in held:
            row[place[name]] += 1 / len(held)
    drawn = resampled_weights(len(recordings), resamples, seed)
    prompts = resampled_weights(len(names), resamples, seed + 1)
    weights = np.concatenate([np.ones((1, len(recordings))), drawn * (prompts @ share.T)])
    return weights / weights.sum(axis=1, keepdims=True)


def best(
    temperatures: Sequence[float],
    losses: np.ndarray,
    *,
    degree: int = 2,
    around: tuple[float, float] = AROUND,
) -> np.ndarray:
    """log2 of the best temperature of curves (..., temperatures): the parabola's vertex.

    No farther than the temperatures it goes through; where it has no minimum, the end that is
    lower. With a higher `degree`, the lowest point of that polynomial.

    >>> t = [0.71, 0.84, 1.0, 1.19, 1.41]
    >>> float(best(t, (np.log2(t) - 0.1) ** 2).round(3))
    0.1
    """
    t = np.asarray(temperatures)
    inside = (t >= around[0]) & (t <= around[1])
    if inside.sum() <= degree:
        raise ValueError(
            f"temperatures: expected {degree + 1} from {around[0]} to {around[1]}, given {t}"
        )
    x, y = np.log2(t[inside]), losses[..., inside]
    fit = np.polynomial.polynomial.polyfit(x, y.reshape(-1, len(x)).T, degree)
    if degree > 2:
        places = np.linspace(x[0], x[-1], 1001)
        drawn = np.polynomial.polynomial.polyval(places, fit)  # (curves, places)
        return places[drawn.argmin(axis=-1)].reshape(y.shape[:-1])
    _, slope, bend = fit.reshape(3, *y.shape[:-1])
    ends = np.where(y[..., 0] <= y[..., -1], x[0], x[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = np.where(bend > 0, -slope / (2 * bend), ends)
    return np.clip(vertex, x[0], x[-1])


def lowest(temperatures: Sequence[float], losses: np.ndarray) -> np.ndarray:
    """log2 of the best of all temperatures of curves (..., temperatures).

    The vertex of the parabola through the lowest and its neighbours; the lowest itself at an end.

    >>> t = [0.25, 0.5, 1.0, 2.0, 4.0]
    >>> float(lowest(t, (np.log2(t) - 0.9) ** 2).round(3))
    0.9
    """
    x, y = np.log2(np.asarray(temperatures)), losses.reshape(-1, len(temperatures))
    least = y.argmin(axis=-1)
    middle = np.clip(least, 1, len(x) - 2)
    (x0, x1, x2), (y0, y1, y2) = (
        [side(middle + step) for step in (-1, 0, 1)]
        for side in (x.__getitem__, lambda place: y[np.arange(len(y)), place])
    )
    climb = (y1 - y0) / (x1 - x0)
    bend = ((y2 - y1) / (x2 - x1) - climb) / (x2 - x0)
    inside = (least == middle) & (bend > 0)
    vertex = (x0 + x1) / 2 - climb / (2 * np.where(inside, bend, 1.0))
    return np.where(inside, vertex, x[least]).reshape(losses.shape[:-1])


def tolerated(
    temperatures: Sequence[float], losses: np.ndarray, *, softer: bool, rise: float = RISE
) -> np.ndarray:
    """log2 of the T, above or below 1, at which curves have risen by `rise` above their loss at 1.

    By lines between temperatures; the last temperature where it does not rise so far.

    >>> t = [0.5, 1.0, 2.0]
    >>> float(tolerated(t, np.array([0.2, 0.0, 0.4]), softer=True))
    0.25
    """
    t = np.asarray(temperatures)
    one = int(np.flatnonzero(t == 1)[0])
    order = np.arange(one, len(t)) if softer else np.arange(one, -1, -1)
    x, y = np.log2(t[order]), losses[..., order] - losses[..., one : one + 1] - rise
    found = np.full(losses.shape[:-1], x[-1])
    for i in range(len(x) - 1, 0, -1):
        crosses = (y[..., i - 1] < 0) & (y[..., i] >= 0)
        climb = np.where(crosses, y[..., i] - y[..., i - 1], 1.0)
        found = np.where(crosses, x[i - 1] - y[..., i - 1] / climb * (x[i] - x[i - 1]), found)
    return found


def slope(keys: Sequence[float], logs: np.ndarray) -> np.ndarray:
    """The slope of log2 T (..., conditions) against log2 of the number of keys, by least squares.

    >>> float(slope([256, 512, 1024], np.array([0.3, 0.2, 0.1])).round(3))
    -0.1
    """
    x = np.log2(np.asarray(keys, dtype=float))
    x = x - x.mean()
    return (logs * x).sum(axis=-1) / (x**2).sum()


def at(temperatures: Sequence[float], losses: np.ndarray, value: float) -> np.ndarray:
    """The loss of curves (..., temperatures) at any temperature within, by lines over log2 T."""
    x = np.log2(np.asarray(temperatures))
    place = np.clip(np.log2(value), x[0], x[-1])
    i = int(np.clip(np.searchsorted(x, place) - 1, 0, len(x) - 2))
    share = (place - x[i]) / (x[i + 1] - x[i])
    return losses[..., i] * (1 - share) + losses[..., i + 1] * share
