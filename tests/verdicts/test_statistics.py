"""The bootstrap on cases whose answer is known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from focused_attention.verdicts.statistics import (
    Difference,
    bootstrap,
    difference_interval,
    holm,
    rate,
    rate_interval,
    resampled_weights,
    seeds_difference,
    seeds_interval,
    to_halve,
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


def answers(rate, shape, seed):
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.uint8)


def of(right):
    """Answers as a side of a comparison: one each was asked for."""
    return right, np.ones_like(right)


def test_seeds_interval_with_one_seed_is_that_of_utterances_and_agrees_with_scipy():
    rng = np.random.default_rng(3)
    below = rng.integers(1, 9, size=(1, 150))
    above = rng.binomial(below, 0.6)
    ours = seeds_interval(above, below, **OPTIONS)
    np.testing.assert_allclose(ours, rate_interval(above, below[0], **OPTIONS), rtol=1e-9)
    expected = stats.bootstrap(
        (above[0], below[0]), lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True, vectorized=True, method="percentile", n_resamples=4000, rng=rng,
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose(ours, expected, atol=0.005)


def test_seeds_that_differ_widen_the_interval_as_their_spread_says():
    right = np.zeros((3, 400), dtype=np.uint8)
    right[1:, :200], right[2, 200:] = 1, 1  # rates 0, 1/2 and 1
    low, high = seeds_interval(right, np.ones_like(right), **OPTIONS)
    assert (low, high) == pytest.approx((0, 1))  # one seed three times: in a resample of 27
    drawn = bootstrap(3, 400, 4000).rates(*of(right))[1:]
    assert drawn.var() == pytest.approx(1 / 6 / 3, rel=0.05)  # the utterances' is far below


def test_the_first_resample_is_the_data():
    right = answers(0.3, (2, 3, 50), 4)
    drawn = bootstrap(3, 50, 20).rates(*of(right))
    assert drawn.shape == (21, 2)
    np.testing.assert_allclose(drawn[0], right.mean(axis=(1, 2)))


def test_a_resample_is_the_loop_over_its_seeds_and_utterances():
    above, below = answers(0.4, (2, 17), 5), answers(0.5, (2, 17), 6) + 1
    draws = bootstrap(2, 17, 9)
    for r, drawn in enumerate(draws.rates(above, below)):
        sums = [0.0, 0.0]
        for s in range(2):
            for i in range(17):
                weight = draws.by_seed[r, s] * draws.by_utterance[r, i]
                sums = [sums[0] + weight * above[s, i], sums[1] + weight * below[s, i]]
        assert drawn == pytest.approx(sums[0] / sums[1], rel=1e-9)


def test_a_paired_difference_has_the_closed_forms_standard_error():
    base = np.repeat(answers(0.7, (1, 500), 7), 3, axis=0)
    ours = np.maximum(base, np.repeat(answers(0.2, (1, 500), 8), 3, axis=0))
    found = seeds_difference(of(ours), of(base), **OPTIONS)
    change = ours[0].astype(float) - base[0]
    assert found.estimate == pytest.approx(change.mean())
    half = stats.norm.ppf(0.975) * change.std() / np.sqrt(500)
    assert found.half_width == pytest.approx(half, rel=0.05)
    assert found.sampling == pytest.approx(1)
    assert to_halve(found, 500, 3)["utterances"] == pytest.approx(2000, rel=0.01)


def test_five_planted_points_are_found():
    base = answers(0.8, (3, 512), 9)
    ours = np.where(answers(0.25, base.shape, 10), 1, base)  # a quarter of the wrong ones mended
    found = seeds_difference(of(ours), of(base), **OPTIONS)
    assert 0.03 < found.low < found.estimate < found.high < 0.07
    assert found.p < 0.01
    back = seeds_difference(of(base), of(ours), **OPTIONS)
    assert (back.low, back.high, back.p) == pytest.approx((-found.high, -found.low, found.p))


@pytest.mark.parametrize(("seeds", "least", "most"), [(1, 0.01, 0.09), (3, 0.0, 0.05)])
def test_shuffled_labels_are_told_apart_no_more_often_than_they_may_be(seeds, least, most):
    rng = np.random.default_rng(11)
    options = {"resamples": 400, "confidence": 0.95}
    shape, p = (seeds, 100), []
    for _ in range(300):
        pair = (rng.random((2, *shape)) < 0.6).astype(np.uint8)
        swap = rng.random(shape) < 0.5  # whose answer is whose
        ours, base = np.where(swap, pair[0], pair[1]), np.where(swap, pair[1], pair[0])
        p.append(seeds_difference(of(ours), of(base), **options).p)
    assert least <= np.mean(np.array(p) < 0.05) <= most
    same = of(answers(0.6, shape, 12))
    assert seeds_difference(same, same, **options) == Difference(0, 0, 0, 1, 1)


def test_more_utterances_do_not_help_where_seeds_differ():
    assert to_halve(Difference(0, -1, 1, 1, 0.5), 100, 3) == {
        "half_width": 1, "utterances": 400, "seeds": 12,
    }  # fmt: skip
    assert to_halve(Difference(0, -1, 1, 1, 0.0), 100, 3) == {
        "half_width": 1, "utterances": None, "seeds": 12,
    }  # fmt: skip
    assert to_halve(Difference(0, -1, 1, 1, 0.175), 100, 3)["seeds"] == 33
    assert to_halve(Difference(0, -1, 1, 1, 1.0), 100, 3)["utterances"] == 400
    assert to_halve(Difference(0, -1, 1, 1, 0.875), 100, 3)["utterances"] == 700


def test_holm_by_hand():
    raw = {"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.5}
    expected = {"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.5}
    assert holm(raw) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_helps(values):
    raw = {str(i): value for i, value in enumerate(values)}
    adjusted = holm(raw)
    assert adjusted.keys() == raw.keys()
    assert all(raw[k] <= adjusted[k] <= 1 for k in raw)
    order = sorted(raw, key=raw.get)
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))
    least = min(values)
    assert adjusted[order[0]] == min(1, len(values) * least)  # Bonferroni's for the smallest
