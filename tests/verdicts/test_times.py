"""Word times judged: planted biases and differences are found, intervals hold what they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focused_attention.verdicts import times
from focused_attention.verdicts.statistics import Difference

OPTIONS = {"resamples": 300, "confidence": 0.95}
WORDS = [f"word{i}" for i in range(40)]


def tables(shift=0.0, spread=0.0, *, settings=(("published", 1.0, 1.0),), seed=0):
    """The stage's tables for strings of ten words, whose errors are normal around a shift."""
    rng = np.random.default_rng(seed)
    rows, strings = [], []
    for split, words in (("dev", WORDS[:15]), ("test", WORDS[15:])):
        for length in (8.0, 16.0):
            n = 0
            for i in range(12):
                said = rng.permutation(words)[: 8 + i % 3]
                at = np.cumsum(rng.integers(100, 900, size=2 * len(said)))
                place = {"split": split, "length": str(length), "string": f"{length:g}s-{i}"}
                strings.append(place | {"words": " ".join(said)} | texts(at[::2], at[1::2]))
                n += len(said)
            for heads, qk_scale, temperature in settings:
                place = {"split": split, "heads": heads, "qk_scale": str(qk_scale)}
                place |= {"temperature": str(temperature), "length": str(length), "words": str(n)}
                errors = np.rint(shift + spread * qk_scale * rng.normal(size=(2, n))).astype(int)
                rows.append(place | texts(*errors))
    return rows, strings


def texts(starts, ends) -> dict[str, str]:
    return {"starts": " ".join(map(str, starts)), "ends": " ".join(map(str, ends))}


def find(summary, **about):
    (row,) = (r for r in summary if all(r[name] == value for name, value in about.items()))
    return row


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=12),
    st.sampled_from([0.1, 0.25, 0.5, 0.9]),
    st.integers(0, 10**6),
)
def test_a_quantile_with_weights_is_that_of_values_written_so_often(values, share, seed):
    values = np.array(values, float)
    weights = np.random.default_rng(seed).integers(0, 4, size=(5, len(values)))
    weights[:, 0] += 1
    (found,) = times.quantiles(values, weights, share)
    for row, one in zip(weights, found, strict=True):
        written = np.repeat(values, row)
        expected = np.quantile(written, share, method="averaged_inverted_cdf")
        assert one == pytest.approx(expected)


def test_a_planted_shift_is_bias_and_nothing_is_left_without_it():
    found = times.read(*tables(shift=60))
    summary = times.summary(found, **OPTIONS)
    for kind in times.KINDS:
        told = find(summary, kind=kind, corrected="no")
        assert (told["bias"], told["median"], told["close"]) == (60, 60, 0)
        mended = find(summary, kind=kind, corrected="yes")
        assert (mended["bias"], mended["p90"], mended["close"]) == (0, 0, 1)


def test_times_without_an_error_have_none():
    row = find(times.summary(times.read(*tables()), **OPTIONS), kind="both", corrected="no")
    assert all(row[name] == 0 for name in ("median", "p90", "bias", "median_high"))
    assert row["close"] == 1


def test_first_starts_do_not_count():
    rows, strings = tables(shift=60)
    found = times.read(rows, strings)["test", "published", 1.0, 1.0]
    assert np.isnan(found.start).sum() == 24
    assert not np.isnan(found.end).any()
    row = find(times.summary(times.read(rows, strings), **OPTIONS), kind="start", corrected="no")
    assert row["n"] == len(found.end) - 24


def test_intervals_hold_the_truth_as_often_as_they_say():
    inside = []
    for seed in range(40):
        found = times.read(*tables(spread=100.0, seed=seed))
        row = find(times.summary(found, **OPTIONS), kind="both", corrected="no")
        inside.append(row["median_low"] <= 67.45 <= row["median_high"])
        assert row["bias_low"] <= row["bias"] <= row["bias_high"]
    assert np.mean(inside) >= 0.9


def test_words_that_err_alike_widen_the_interval():
    rows, strings = tables(spread=100.0)
    found = times.read(rows, strings)["test", "published", 1.0, 1.0]
    own = np.random.default_rng(5).normal(scale=100, size=found.word.max() + 1)
    alike = times.replace(found, end=own[found.word])
    widths = []
    for errors in (found, alike):
        drawn = times.statistics(errors, times.draws(errors, 500), "end")["bias"][1:]
        widths.append(drawn.std())
    assert widths[1] > 1.5 * widths[0]


def test_a_planted_difference_is_found():
    settings = (("published", 1.0, 1.0), ("published", 0.5, 1.0))
    found = times.read(*tables(spread=100.0, settings=settings))
    one, softer = (found["test", "published", q, 1.0] for q in (1.0, 0.5))
    less = times.compared(softer, one, **OPTIONS)
    assert less.estimate == pytest.approx(-33.7, abs=8)
    assert times.decide(less, less.p)[0] == "less"
    assert times.decide(times.compared(one, softer, **OPTIONS), less.p)[0] == "more"
    same = times.compared(one, one, **OPTIONS)
    assert (same.estimate, times.decide(same, same.p)[0]) == (0, "equivalent")


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [(-12, 1, 0.06, "undecided"), (-9, -0.5, 0.2, "undecided"), (3, 30, 0.01, "more")],
)
def test_what_is_not_clear_stays_undecided(low, high, p, verdict):
    assert times.decide(Difference((low + high) / 2, low, high, p, 1.0), p)[0] == verdict


def test_errors_of_other_words_are_not_compared():
    found = times.read(*tables())
    with pytest.raises(ValueError, match="other words"):
        times.compared(*(found[s, "published", 1.0, 1.0] for s in ("dev", "test")), **OPTIONS)


def test_tables_that_do_not_belong_together_are_refused():
    rows, strings = tables()
    with pytest.raises(ValueError, match="run the stage again"):
        times.read(rows, strings[:-1])


def test_boundaries_amid_gaps_err_by_half_of_them():
    rows, strings = tables()
    found = times.read(rows, strings)["test", "published", 1.0, 1.0]
    strings = [row for row in strings if row["split"] == "test"]
    amid = times.touching(strings, found)
    assert np.array_equal(amid.end[:-1][~np.isnan(amid.end[:-1])],
                          -amid.start[1:][~np.isnan(amid.start[1:])])  # fmt: skip
    starts, ends = (np.array(strings[0][name].split(), float) for name in ("starts", "ends"))
    assert amid.end[0] - amid.start[1] == starts[1] - ends[0]


def test_one_length_is_a_part_of_all():
    found = times.read(*tables(spread=10.0))["test", "published", 1.0, 1.0]
    parts = [found.only(length) for length in (8.0, 16.0)]
    assert sum(len(part.end) for part in parts) == len(found.end)
    assert np.array_equal(np.concatenate([part.end for part in parts]), found.end)
