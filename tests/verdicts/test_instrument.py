"""Checks of the instrument: they hold, fail or wait, each for the claims that it guards."""

import dataclasses

import numpy as np
import pytest

from focused_attention.verdicts import instrument
from focused_attention.verdicts.claims import CLAIMS
from focused_attention.verdicts.evidence import LONG
from focused_attention.verdicts.replies import Place
from tests.verdicts.planted_evidence import LONGEST, entropy_rows, evidence
from tests.verdicts.test_rules import found


def test_every_check_names_claims_that_there_are():
    checks = instrument.check(evidence())
    states = {name: one["state"] for name, one in checks.items()}
    assert states == dict.fromkeys(checks, "holds") | {"neutral": "not run"}
    for one in checks.values():
        assert set(one["guards"]) <= set(CLAIMS)
        assert one["test"]
    guarded = {name for one in checks.values() for name in one["guards"]}
    assert {"C1a", "C1b", "C2", "C4", "C5"} <= guarded


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (-0.02, 0.02, "holds"),
        (0.001, 0.015, "holds"),  # there is a change, but none that matters
        (0.021, 0.04, "fails"),
        (-0.04, -0.021, "fails"),
        (-0.01, 0.021, "waits"),
        (-0.03, 0.03, "waits"),
    ],
)
def test_what_must_not_change_holds_within_two_points(low, high, state):
    told = instrument.bounded(found(low, (low + high) / 2, high))
    assert (told["state"], told["low"], told["high"]) == (state, low, high)


@pytest.mark.parametrize(("rate", "state"), [(0.2, "holds"), (0.7, "fails"), (0.68, "waits")])
def test_what_must_change_holds_beyond_two_points(rate, state):
    checks = instrument.check(evidence(arms=(LONG,), rates={LONG: {4.0: rate}}))
    assert checks["hot long"]["state"] == state
    assert checks["hot short"]["state"] == "not run"
    assert "does not train or measure echo" in checks["hot short"]["reason"]


def test_the_same_model_in_another_slot_must_answer_the_same():
    planted = evidence(arms=(LONG,))
    assert instrument.check(planted)["neutral"]["state"] == "not run"
    plain = Place(hay=LONGEST)
    cells = planted.recalled[LONG]
    cells[plain._replace(slot="encoder")] = cells[plain]
    told = instrument.check(planted)["neutral"]
    assert (told["state"], told["cells"]) == ("holds", 1)
    other = cells[plain].forced.copy()
    other[0, 0] = "x"
    cells[plain._replace(slot="encoder")] = cells[plain]._replace(forced=other)
    assert instrument.check(planted)["neutral"]["state"] == "fails"


@pytest.mark.parametrize(("far", "state"), [(1.0, "holds"), (1.01, "fails")])
def test_entropies_lie_within_their_bounds(far, state):
    told = instrument.check(evidence(far=far))["entropy"]
    assert (told["state"], told["high"]) == (state, far)
    nothing = dataclasses.replace(evidence(), entropies={})
    assert instrument.check(nothing)["entropy"]["state"] == "not run"


def test_an_entropy_that_is_no_number_counts_for_nothing():
    planted = evidence()
    rows = [row | {"mean": "nan"} for row in entropy_rows(0.5, 0.5)]
    told = dataclasses.replace(planted, entropies={LONG: [rows, entropy_rows(0.4, 0.6)]})
    found = instrument.check(told)["entropy"]
    assert (found["low"], found["high"]) == (0.4, 0.6)
    assert not np.isnan(found["low"])
