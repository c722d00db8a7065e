"""Arms that go on with other mechanisms, with effects that were planted."""

from dataclasses import replace

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.verdicts import changed
from focused_attention.verdicts.evidence import LONG
from tests.verdicts import planted_evidence
from tests.verdicts.planted_evidence import LONGEST, MOST, PARAMS

SHARPER, SOFTER = (arm for arm in PARAMS.runs.adapt.arms if arm != LONG)


def table(**planted):
    return changed.table(planted_evidence.evidence(**planted))


def row_of(rows, **wanted):
    """The one row that has these values."""
    (found,) = (row for row in rows if all(row[k] == v for k, v in wanted.items()))
    return found


def compared(rows):
    """The rows of the primary outcome, by arm."""
    return {row["arm"]: row for row in rows if row["p"] != ""}


def test_a_planted_gain_and_loss_are_found_and_told_apart():
    rows = table(rates={SHARPER: {1.0: 0.8}, SOFTER: {1.0: 0.6}})
    told = compared(rows)
    assert set(told) == {SHARPER, SOFTER}
    assert told[SHARPER]["difference"] == pytest.approx(0.1, abs=0.02)
    assert told[SOFTER]["difference"] == pytest.approx(-0.1, abs=0.02)
    for row in told.values():
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        assert row["p"] <= row["p_holm"] < 0.05
        assert row["difference_low"] * row["difference_high"] > 0
        assert (row["slot"], row["hay"], row["measure"]) == ("focus encoder", LONGEST, "bound")
        assert row["equivalent"] is False


def test_arms_that_are_alike_are_equivalent():
    for row in compared(table()).values():
        assert (row["difference"], row["p_holm"], row["equivalent"]) == (0.0, 1.0, True)


def test_the_control_stands_first_and_is_compared_with_itself_alone():
    rows = table(rates={SHARPER: {1.0: 0.8}})
    own = [row for row in rows if row["arm"] == LONG]
    assert rows[: len(own)] == own
    assert {row["difference"] for row in own} == {0.0}
    assert {row["p"] for row in own} == {""}
    assert row_of(own, measure="bound")["rate"] == pytest.approx(0.7, abs=0.05)


def test_shrunken_differences_lie_between_their_mean_and_the_raw_ones():
    told = compared(table(rates={SHARPER: {1.0: 0.73}, SOFTER: {1.0: 0.69}}))
    raw, shrunken = ([row[name] for row in told.values()] for name in ("difference", "shrunken"))
    assert np.ptp(shrunken) < np.ptp(raw)
    assert min(raw) <= min(shrunken) <= max(shrunken) <= max(raw)


def test_what_is_spotted_stands_beside_it():
    told = planted_evidence.evidence()
    better = planted_evidence.spotted({1.0: 0.9}, planted_evidence.SEEDS)
    told = replace(told, spotted=told.spotted | {SHARPER: better})
    rows = [row for row in changed.table(told) if row["task"] == "spot"]
    found = row_of(rows, arm=SHARPER, measure="exact")
    assert (found["hay"], found["p"]) == (MOST, "")
    assert found["difference"] == pytest.approx(0.4, abs=0.02)
    assert row_of(rows, arm=SHARPER, measure="precision")["rate"] == 1.0


def test_an_arm_of_other_seeds_is_left_out():
    told, fewer = planted_evidence.evidence(), planted_evidence.evidence(seeds=3)
    told = replace(
        told,
        recalled=told.recalled | {SHARPER: fewer.recalled[SHARPER]},
        spotted=told.spotted | {SHARPER: fewer.spotted[SHARPER]},
    )
    assert {row["arm"] for row in changed.table(told)} == {LONG, SOFTER}


def going_on(*arms):
    """Evidence of a profile in which these arms go on."""
    runs = PARAMS.runs
    params = replace(PARAMS, runs=replace(runs, adapt=replace(runs.adapt, arms=list(arms))))
    told = planted_evidence.evidence()
    return replace(told, params=replace(params, collect=told.params.collect))


def test_where_no_arm_is_changed_there_is_no_table():
    assert changed.table(going_on(LONG)) == changed.table(going_on()) == []


def test_a_table_without_a_control_is_an_error():
    with pytest.raises(UserError, match=r"runs\.adapt\.arms: expected one arm that is echo but"):
        changed.table(going_on(SHARPER))
