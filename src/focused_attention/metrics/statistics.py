"""Intervals for corpus-level error rates: the bootstrap over utterances.

Bisani & Ney (2004), https://doi.org/10.1109/ICASSP.2004.1326009: an error rate is a ratio of sums,
so whole utterances are resampled with their errors and their words. The utterance is the block:
what several seeds or arms made of one utterance is drawn together.
"""

import numpy as np


def resampled_weights(n: int, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each of `n` utterances is drawn in each resample: (resamples, n)."""
    draws = np.random.default_rng(seed).integers(n, size=(resamples, n))
    return np.stack([np.bincount(row, minlength=n) for row in draws])


def interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The percentile interval of resampled values."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def rate(errors: np.ndarray, units: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Error rate of every resample: errors (seeds, n), units (n,), weights (resamples, n)."""
    return (weights @ errors.mean(axis=0)) / (weights @ units)


def rate_interval(
    errors: np.ndarray, units: np.ndarray, *, resamples: int, confidence: float
) -> tuple[float, float]:
    """The interval of an error rate averaged over seeds: errors (seeds, n), units (n,)."""
    weights = resampled_weights(len(units), resamples)
    return interval(rate(errors, units, weights), confidence)


def difference_interval(
    errors: np.ndarray,
    baseline: np.ndarray,
    units: np.ndarray,
    *,
    resamples: int,
    confidence: float,
) -> tuple[float, float]:
    """The paired interval of rate(errors) - rate(baseline): each (seeds, n)."""
    weights = resampled_weights(len(units), resamples)
    change = rate(errors, units, weights) - rate(baseline, units, weights)
    return interval(change, confidence)
