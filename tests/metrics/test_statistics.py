"""The bootstrap on cases whose answer is known."""

import numpy as np
from scipy import stats

from focused_attention.metrics.statistics import (
    difference_interval,
    rate,
    rate_interval,
    resampled_weights,
)

OPTIONS = {"resamples": 4000, "confidence": 0.95}


def test_weights_draw_every_resample_whole():
    weights = resampled_weights(17, 100)
    assert (weights.sum(axis=1) == 17).all()
    assert abs(weights.mean() - 1) < 1e-12


def test_interval_of_single_words_is_the_binomial_one():
    errors = np.zeros((1, 400), dtype=int)
    errors[0, :80] = 1
    low, high = rate_interval(errors, np.ones(400, dtype=int), **OPTIONS)
    expected = stats.binom(400, 0.2).ppf([0.025, 0.975]) / 400
    np.testing.assert_allclose([low, high], expected, atol=0.006)


def test_interval_agrees_with_scipy_bootstrap():
    rng = np.random.default_rng(0)
    units = rng.integers(1, 9, size=150)
    errors = rng.binomial(units, 0.15)
    expected = stats.bootstrap(
        (errors, units), lambda e, u, axis: e.sum(axis=axis) / u.sum(axis=axis),
        paired=True, vectorized=True, method="percentile", n_resamples=4000, rng=rng,
    ).confidence_interval  # fmt: skip
    ours = rate_interval(errors[None], units, **OPTIONS)
    np.testing.assert_allclose(ours, expected, atol=0.004)


def test_a_planted_difference_is_found_and_none_is_not():
    rng = np.random.default_rng(1)
    units = np.full(300, 4)
    base = rng.binomial(4, 0.2, size=(3, 300))
    low, high = difference_interval(base, base, units, **OPTIONS)
    assert low == high == 0
    worse = np.minimum(base + (rng.random((3, 300)) < 0.2), 4)
    low, high = difference_interval(worse, base, units, **OPTIONS)
    assert 0 < low < high < 0.1


def test_seeds_are_averaged_not_counted_as_utterances():
    errors = np.random.default_rng(2).binomial(3, 0.3, size=(1, 200))
    units = np.full(200, 3)
    one = rate_interval(errors, units, **OPTIONS)
    repeated = rate_interval(np.repeat(errors, 5, axis=0), units, **OPTIONS)
    np.testing.assert_allclose(one, repeated, rtol=1e-12)


def test_rate_is_a_ratio_of_sums():
    errors, units = np.array([[1, 0], [3, 0]]), np.array([2, 8])
    np.testing.assert_allclose(rate(errors, units, np.ones((1, 2))), [0.2])
