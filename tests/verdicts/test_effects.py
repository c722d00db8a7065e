"""Effects: both kinds of interval, what they are made of, and the power of a trial."""

import numpy as np
import pytest

from focused_attention.verdicts.effects import Spread, crossed, effect, power, powers


def gains(rng, seeds=10, n=128, true=0.0, spread=(0.02, 0.03, 0.2)):
    of_seed, of_recording, rest = spread
    return (
        true
        + of_seed * rng.standard_normal((seeds, 1))
        + of_recording * rng.standard_normal(n)
        + rest * rng.standard_normal((seeds, n))
    )


def test_the_variances_that_were_put_in_are_found():
    rng = np.random.default_rng(0)
    spreads = [crossed(gains(rng, 20, 200, spread=(0.1, 0.2, 0.3)), 0.95)[2] for _ in range(60)]
    mean = np.sqrt(np.square(spreads).mean(axis=0))
    assert mean == pytest.approx([0.1, 0.2, 0.3], rel=0.06)


def test_the_models_interval_holds_what_is_true_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        low, high, _ = crossed(gains(rng, true=0.05), 0.9)
        held += low <= 0.05 <= high
    assert held / 400 == pytest.approx(0.9, abs=0.04)


def test_with_alike_seeds_it_is_the_interval_of_a_t_test():
    """Where seeds add nothing and every seed answers alike, recordings alone are chance."""
    from scipy.stats import ttest_1samp

    one = np.random.default_rng(2).standard_normal(50) + 0.3
    low, high, spread = crossed(np.tile(one, (4, 1)), 0.95)
    interval = ttest_1samp(one, 0.0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert spread == pytest.approx((0.0, one.std(ddof=1), 0.0), abs=1e-9)


def test_both_intervals_are_about_the_same_mean():
    found = effect(gains(np.random.default_rng(3), true=0.1), 2000, 0.95)
    assert found.found.low < found.found.estimate < found.found.high
    middle = (found.low + found.high) / 2
    assert middle == pytest.approx(found.found.estimate)
    assert found.high - found.low == pytest.approx(found.found.high - found.found.low, rel=0.5)
    assert found.row["seeds"] == 10


def test_a_single_seed_has_no_model():
    low, high, spread = crossed(np.ones((1, 9)), 0.95)
    assert np.isnan([low, high, *spread]).all()


def test_power_grows_with_seeds_and_recordings_and_an_effect_of_nothing_is_excluded():
    spread = Spread(0.02, 0.02, 0.2)
    few = power(spread, seeds=3, n=64, margin=0.02, true=0.03, trials=150)
    many = power(spread, seeds=20, n=512, margin=0.02, true=0.03, trials=150)
    assert few["found"] < 0.4 < 0.8 < many["found"]
    none = power(spread, seeds=20, n=512, margin=0.02, true=0.0, trials=150)
    assert none["found"] < 0.05
    assert none["equivalent"] > 0.8


def test_planned_power_is_what_a_normal_reckoning_gives():
    from scipy.stats import norm

    spread, seeds, n = Spread(0.02, 0.02, 0.2), 30, 512
    error = spread.error(seeds, n)
    true = 2.8 * error + 1e-9
    told = power(spread, seeds, n, margin=0.0, true=true, trials=600)
    assert told["found"] == pytest.approx(norm.cdf(2.8 - 1.96), abs=0.06)


def test_what_a_trial_could_have_found_stands_beside_its_effect():
    rng = np.random.default_rng(0)
    found = effect(rng.normal(0.0, 0.2, (10, 256)), 200, 0.95)
    told = powers(found, 0.02)
    assert told["detectable"] == pytest.approx(2.8 * found.spread.error(10, 256))
    assert told["detectable"] == pytest.approx(2.8 * 0.2 / 2560**0.5, rel=0.4)
    assert told["equivalent"] > 0.9
    assert 0.3 < told["found"] < 0.7  # half of the estimates of the margin lie above it
    assert powers(effect(np.ones((1, 9)), 50, 0.95), 0.02) is None
