"""Varied arms against their control, where what is true of them is planted."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from focused_attention.verdicts.variants import COLUMNS, Written, about, shrink, table, together

OPTIONS = {"resamples": 800, "confidence": 0.95}
RATE = 0.4  # of errors where nothing is planted


def written(rates, rng, seeds=1, n=150):
    """By arm, what it wrote at its rate of errors; half of the utterances are as hard for all."""
    words = rng.integers(1, 5, size=n)
    hard, same = rng.random((2, seeds, n, 4)), rng.random((seeds, n)) < 0.5
    spoken = np.arange(4) < words[:, None]
    found = {}
    for name, rate in rates.items():
        drawn = np.where(same[..., None], hard[0], rng.random((seeds, n, 4)))
        found[name] = Written(((drawn < rate) & spoken).sum(axis=-1), words)
    return found


def judged(rates, seed=0, **options):
    """The rows by arm, of a start and a control with RATE and arms with `rates`."""
    rates = {"start": RATE, "control": RATE} | rates
    words = written(rates, np.random.default_rng(seed), **options)
    rows = table([{"arm": name} for name in rates], "start", "control", words, words, **OPTIONS)
    return {row["arm"]: row for row in rows}


EQUAL = {f"arm {i}": RATE for i in range(8)}


def test_an_arm_that_is_worse_is_found_among_its_equals():
    rows = judged(EQUAL | {"worse": RATE + 0.2})
    assert [name for name, row in rows.items() if row["p_holm"] != "" and row["p_holm"] < 0.05] == [
        "worse"
    ]
    worse = rows["worse"]
    assert 0.1 < worse["low"] < worse["difference"] < worse["high"] < 0.3
    assert worse["words_wer"] - rows["control"]["words_wer"] == pytest.approx(worse["difference"])
    assert 0 < worse["shrunken"] < worse["difference"]
    assert not worse["equivalent"]


def test_among_equals_a_family_holds_a_find_no_more_often_than_it_may():
    """One p-value of eight is below 5 % in many families, an adjusted one in few."""
    families = [[row for row in judged(EQUAL, seed).values() if row["p_holm"] != ""]
                for seed in range(25)]  # fmt: skip
    share = {
        name: np.mean([min(row[name] for row in rows) < 0.05 for rows in families])
        for name in ("p", "p_holm")
    }
    assert share["p_holm"] <= 0.1
    assert share["p"] > 0.15


def test_shrunken_differences_are_nearer_to_what_was_planted():
    """Counted from the mean of all, since the chance of the control moves them together."""
    rng, missed = np.random.default_rng(1), {"difference": 0.0, "shrunken": 0.0}
    for seed in range(12):
        planted = dict(zip(EQUAL, RATE + 0.015 * rng.standard_normal(len(EQUAL)), strict=True))
        rows = judged(planted, seed)
        for name in missed:
            off = np.array([rows[arm][name] - rate for arm, rate in planted.items()])
            missed[name] += (off - off.mean()).var()
    assert missed["shrunken"] < 0.8 * missed["difference"]


def test_among_equals_hardly_anything_is_left_of_a_difference():
    """The chance that counts is an arm's own: were the control's counted in, all would be taken."""
    rng, k, trials = np.random.default_rng(2), 8, 400
    own, shared = rng.standard_normal((trials, k)), rng.standard_normal((trials, 1))
    resampled = rng.standard_normal((1000, k)) + rng.standard_normal((1000, 1))
    left = [np.ptp(together(np.vstack([y, resampled]))) / np.ptp(y) for y in own + shared]
    assert np.mean(np.array(left) == 0) == pytest.approx(0.57, abs=0.1)  # of chi² below its mean
    assert np.mean(left) < 0.25


def test_three_arms_are_shrunken_as_by_hand():
    y, s2 = [Fraction(0), Fraction(2), Fraction(10)], [Fraction(1), Fraction(1), Fraction(4)]
    # weights 1, 1, 1/4: mean 2, Q = 4 + 0 + 16, and τ² = (20 - 2) / (9/4 - (33/16) / (9/4))
    tau2 = Fraction(18) / (Fraction(9, 4) - Fraction(33, 16) / Fraction(9, 4))
    weights = [1 / (s + tau2) for s in s2]
    mean = sum(w * of for w, of in zip(weights, y, strict=True)) / sum(weights)
    expected = [float(mean + (of - mean) * tau2 * w) for w, of in zip(weights, y, strict=True)]
    found = shrink(np.array(y, dtype=float), np.array(s2, dtype=float))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert float(tau2) == pytest.approx(13.5)


def test_what_differs_by_chance_alone_becomes_the_mean():
    found = shrink(np.array([0.0, 1.0, 2.0]), np.array([4.0, 4.0, 4.0]))
    np.testing.assert_allclose(found, 1.0)


def test_an_estimate_without_variance_stays_and_tells_nothing():
    np.testing.assert_array_equal(shrink(np.array([3.0, 1.0]), np.array([0.0, 2.0])), [3.0, 1.0])
    three = shrink(np.array([0.0, 9.0, 1.0]), np.array([4.0, 0.0, 4.0]))
    np.testing.assert_allclose(three, [0.5, 9.0, 0.5])


def test_order_stays_where_all_are_equally_sure():
    y = np.array([0.3, -0.1, 0.0, 0.25])
    found = shrink(y, np.full(4, 1e-4))
    assert all(a < b for a, b in pairwise(found[np.argsort(y)]))


def test_start_and_control_are_not_of_the_family():
    rows = judged(EQUAL | {"worse": RATE + 0.2})
    assert list(rows["control"]) == list(COLUMNS)
    compared = COLUMNS[COLUMNS.index("difference") :]
    assert {rows["control"][name] for name in compared} == {""}
    assert (rows["start"]["p_holm"], rows["start"]["shrunken"]) == ("", "")
    assert rows["start"]["low"] <= rows["start"]["difference"] <= rows["start"]["high"]
    assert judged({"one": RATE + 0.1})["one"]["p_holm"] == judged({"one": RATE + 0.1})["one"]["p"]
    assert list(judged({})) == ["start", "control"]


def test_equivalent_is_an_interval_within_the_margin():
    rng = np.random.default_rng(3)
    words = written({"control": RATE, "noise": RATE, "worse": RATE + 0.2}, rng)
    errors = words["control"].errors.copy()
    errors[0, np.argmax(errors)] -= 1  # one word in some 380
    words |= {"start": words["control"], "alike": Written(errors, words["control"].words)}
    arms = [{"arm": name} for name in words]
    rows = table(arms, "start", "control", words, words, **OPTIONS)
    told = {row["arm"]: row["equivalent"] for row in rows}
    assert told == {"start": True, "control": "", "noise": False, "worse": False, "alike": True}


def test_seeds_are_chance_too():
    one, two = (judged({"arm": RATE + 0.1}, seed=4, seeds=seeds)["arm"] for seeds in (1, 2))
    assert (one["seeds"], two["seeds"], two["utterances"]) == (1, 2, 150)
    rng = np.random.default_rng(5)
    words = written({"start": RATE, "control": RATE, "arm": RATE}, rng, seeds=2)
    far = words["control"].errors.copy()
    far[1] = words["control"].words  # one seed has learnt nothing
    words["arm"] = Written(far, words["control"].words)
    row = table([{"arm": "arm"}], "start", "control", words, words, **OPTIONS)[0]
    assert row["low"] == 0 < row["difference"] < row["high"] == pytest.approx(1 - RATE, abs=0.1)


def test_an_arm_is_named_by_what_it_changes():
    plain = {"arm": "echo", "slots": {"focus": {"mechanism": "rotary"}}, "sources": {"a.py": ""}}
    changed = {"focus": {"mechanism": "entmax"}, "cross": {"mechanism": "based"}}
    sources = {"softmax/entmax.py": "", "linear/based.py": "", "base.py": ""}
    varied = {"arm": "vary", "start": plain, "slots": changed, "sources": sources}
    assert about(varied, 125, 100) == {
        "arm": "vary", "mechanism": "entmax based", "family": "softmax linear",
        "slot": "focus cross", "parameters": 125, "new": 0.2,
    }  # fmt: skip
    for one in (plain, plain | {"start": plain}):
        assert about(one, 100, 100) | {"arm": ""} == dict.fromkeys(
            ("arm", "mechanism", "family", "slot"), ""
        ) | {"parameters": 100, "new": 0.0}
