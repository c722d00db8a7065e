"""Whether attention becomes more uniform with length: what is planted in every arm is found."""

from dataclasses import replace

import pytest

from focused_attention.verdicts import uniform
from focused_attention.verdicts.claims import CLAIMS
from focused_attention.verdicts.evidence import LONG, PLAIN
from tests.verdicts import planted_evidence


@pytest.fixture(scope="module")
def told():
    found = planted_evidence.evidence(arms=(PLAIN, LONG), far=0.53)
    down = planted_evidence.uniform(0.5, 0.46, planted_evidence.SEEDS)
    return replace(found, uniformity=found.uniformity | {LONG: down})


def row_of(rows, **wanted):
    (found,) = (row for row in rows if all(row[name] == value for name, value in wanted.items()))
    return found


def test_rising_and_falling_arms_are_told_apart(told):
    rows = uniform.table(told)
    assert all(tuple(row) == uniform.COLUMNS for row in rows)
    short, long = (row_of(rows, arm=arm, interval="bootstrap") for arm in (PLAIN, LONG))
    assert short["near"] == pytest.approx(0.5, abs=0.02)
    assert 0 < short["low"] < short["difference"] < short["high"]
    assert (short["seeds"], short["rising"], long["rising"]) == (10, 10, 0)
    assert long["low"] < long["difference"] < long["high"] < 0


def test_the_interval_of_the_long_models_is_that_of_the_claim(told):
    found = CLAIMS["C2"].compare(told).found
    row = row_of(uniform.table(told), arm=LONG, interval="bootstrap")
    assert (row["low"], row["high"]) == (found.low, found.high)


def test_that_all_heads_err_as_one_is_told_beside_it(told):
    row = row_of(uniform.table(told), arm=PLAIN, interval="together")
    assert row["difference"] == pytest.approx(0.03)
    assert row["low"] < row["difference"] < row["high"]


def test_other_measures_have_an_interval_over_seeds(told):
    entropies = {
        PLAIN: [
            [row | {"metric": "entropy", "mean": str(float(row["mean"]) + 0.01 * seed * far)}
             for row in rows for far in [row["hay"] != "4"]]
            for seed, rows in enumerate(told.entropies[PLAIN])
        ]
    }  # fmt: skip
    rows = uniform.table(replace(told, entropies=entropies))
    row = row_of(rows, arm=PLAIN, metric="entropy")
    assert row["interval"] == "seeds"
    assert row["difference"] == pytest.approx(0.03 + 0.045)
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert not [row for row in rows if row["arm"] == LONG and row["metric"] == "entropy"]


def test_an_arm_of_one_length_has_no_row(told):
    near = {at: of for at, of in told.uniformity[PLAIN].items() if at.hay != 56}
    assert uniform.table(replace(told, uniformity={PLAIN: near})) == []
