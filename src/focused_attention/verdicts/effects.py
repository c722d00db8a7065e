"""Paired effects on recordings that several seeds answered, with two kinds of interval.

The bootstrap draws recordings and seeds, and decides. Beside it stands a linear model in which a
recording and a seed each add a random effect, crossed, to what an answer gains:

    gain[s, i] = effect + seed[s] + recording[i] + rest[s, i]

Its variances come from the mean squares of a two-way layout with one observation a cell, and the
degrees of freedom of its t interval are Satterthwaite's (1946, https://doi.org/10.2307/3002019).
"""

from typing import NamedTuple

import numpy as np

from focused_attention.verdicts.statistics import Difference, bootstrap, difference


class Spread(NamedTuple):
    """Standard deviations of the random effects."""

    seed: float
    recording: float
    rest: float

    def error(self, seeds: int, n: int) -> float:
        """The standard error of a mean over so many."""
        parts = self.seed**2 / seeds, self.recording**2 / n, self.rest**2 / (seeds * n)
        return float(np.sqrt(sum(parts)))


class Effect(NamedTuple):
    """A mean gain."""

    found: Difference  # by bootstrap
    low: float  # of the linear model
    high: float
    spread: Spread
    seeds: int
    n: int
    base: float = np.nan  # mean of the side that is compared with

    @property
    def row(self) -> dict[str, float | int]:
        found, spread = self.found, self.spread
        return {
            "effect": found.estimate, "low": found.low, "high": found.high, "p": found.p,
            "model_low": self.low, "model_high": self.high, "sd_seed": spread.seed,
            "sd_recording": spread.recording, "sd_rest": spread.rest, "seeds": self.seeds,
            "n": self.n, "base": self.base,
        }  # fmt: skip


def effect(gains: np.ndarray, resamples: int, confidence: float) -> Effect:
    """The mean of gains (seeds, n), what one side of a comparison has more than the other."""
    draws = bootstrap(*gains.shape, resamples)
    sums = [draws.sums(gains, seeds=seeds) for seeds in (True, False)]
    found = difference(*(drawn / gains.size for drawn in sums), confidence)
    low, high, spread = crossed(gains, confidence)
    return Effect(found, low, high, spread, *gains.shape)


def gain(ours: np.ndarray, base: np.ndarray, resamples: int, confidence: float) -> Effect:
    """The mean of what one side (seeds, n) has more than the other."""
    found = effect(ours.astype(float) - base.astype(float), resamples, confidence)
    return found._replace(base=float(base.mean()))


def lengthened(far: np.ndarray, near: np.ndarray, resamples: int, confidence: float) -> Effect:
    """The mean of one side (seeds, n) less the other's, of the same seeds in other recordings.

    A resample draws the recordings of each side apart, and the seeds of both together.
    """
    seeds = len(far)
    drawn, fixed = [], []
    for way, told in ((True, drawn), (False, fixed)):
        for place, side in enumerate((far, near)):
            draws = bootstrap(*side.shape, resamples, place)
            told.append(draws.sums(side, seeds=way) / side.size)
    found = difference(drawn[0] - drawn[1], fixed[0] - fixed[1], confidence)
    of_seeds = far.mean(axis=1) - near.mean(axis=1)
    deviation = float(of_seeds.std(ddof=1)) if seeds > 1 else np.nan
    spread = Spread(deviation, np.nan, np.nan)  # a recording is on one side alone
    base = float(near.mean())
    return Effect(found, np.nan, np.nan, spread, seeds, far.shape[1], base)


def crossed(gains: np.ndarray, confidence: float) -> tuple[float, float, Spread]:
    """The interval of the linear model's effect, and its spread; NaN of fewer than two of either.

    Variances that come out below zero are zero, in the spread and in the interval alike.
    """
    from scipy.stats import t  # on use: it takes a second to load

    seeds, n = gains.shape
    if min(seeds, n) < 2:
        return np.nan, np.nan, Spread(np.nan, np.nan, np.nan)
    gains = gains.astype(float)
    mean, of_seed, of_recording = gains.mean(), gains.mean(axis=1), gains.mean(axis=0)
    rest = gains - of_seed[:, None] - of_recording + mean
    squares = np.array([
        n * np.square(of_seed - mean).sum() / (seeds - 1),
        seeds * np.square(of_recording - mean).sum() / (n - 1),
        np.square(rest).sum() / ((seeds - 1) * (n - 1)),
    ])  # fmt: skip
    variances = np.array([
        (squares[0] - squares[2]) / n, (squares[1] - squares[2]) / seeds, squares[2]
    ]).clip(min=0.0)  # fmt: skip
    spread = Spread(*np.sqrt(variances).tolist())
    error = spread.error(seeds, n)
    free = np.array([seeds - 1, n - 1, (seeds - 1) * (n - 1)])
    parts = np.array([squares[0], squares[1], -squares[2]]) / (seeds * n)
    total = max(error**2, parts.sum())
    degrees = total**2 / (np.square(parts) / free).sum() if total else 1.0
    reach = float(t.ppf((1 + confidence) / 2, max(1.0, degrees))) * error
    return float(mean - reach), float(mean + reach), spread


REACH = 2.8  # standard errors of an effect that is found in 80 % of the trials: 1.96 + 0.84


def powers(found: Effect, margin: float) -> dict[str, float] | None:
    """What as large a trial would find with the spread that was found; None if there is none.

    `detectable`: the effect that is found in 80 % of such trials; `found`: how often one as large
    as the margin would be, by `power`; `equivalent`: how often the lack of one would be shown.
    """
    size = found.seeds, found.n
    if not np.isfinite(found.spread.error(*size)):
        return None
    told = [power(found.spread, *size, margin, true=true) for true in (margin, 0.0)]
    return {
        "detectable": REACH * found.spread.error(*size), "found": told[0]["found"],
        "equivalent": told[1]["equivalent"],
    }  # fmt: skip


def power(
    spread: Spread, seeds: int, n: int, margin: float, *, true: float, trials: int = 400,
    confidence: float = 0.95,
) -> dict[str, float]:  # fmt: skip
    """How often simulated trials with this spread find an effect that is there, or exclude one.

    `found`: the linear model's interval lies above zero and its estimate reaches the margin;
    `equivalent`: it lies within the margin either way. Random effects are normal.
    """
    rng = np.random.default_rng(0)
    told = np.zeros(2)
    for _ in range(trials):
        gains = (
            true
            + spread.seed * rng.standard_normal((seeds, 1))
            + spread.recording * rng.standard_normal(n)
            + spread.rest * rng.standard_normal((seeds, n))
        )
        low, high, _ = crossed(gains, confidence)
        told += (low > 0 and gains.mean() >= margin), (-margin < low and high < margin)
    return dict(zip(("found", "equivalent"), (told / trials).tolist(), strict=True))
