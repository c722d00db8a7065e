"""Whether sharper mechanisms do better, with relations that were planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from focused_attention.verdicts import sharper
from focused_attention.verdicts.evidence import LONG
from tests.verdicts import planted_evidence
from tests.verdicts.planted_evidence import LONGEST
from tests.verdicts.test_changed import SHARPER, SOFTER


def varied(slope, k=20, noise=0.01, seed=0):
    """Rows of tables/variants.csv: the control, and arms whose errors follow their entropy."""
    rng = np.random.default_rng(seed)
    rows = [{"arm": "echo-more", "difference": "", "p_holm": "", "entropy": "0.7"}]
    for i, entropy in enumerate(rng.uniform(0.3, 0.95, k)):
        change = slope * (entropy - 0.7) + rng.normal(scale=noise)
        told = {"difference": str(change), "p_holm": "1.0", "entropy": str(entropy)}
        rows.append({"arm": f"vary-{i}"} | told)
    return rows


def judged(monkeypatch, pairs, others=None):
    class Planted:
        varied = pairs
        options = type("Options", (), {"resamples": 500, "confidence": 0.95})

    monkeypatch.setattr(sharper, "found", lambda evidence: others or {})
    return {row["question"]: row for row in sharper.table(Planted)}


@pytest.mark.parametrize(
    ("slope", "verdict"), [(0.2, "supported"), (-0.2, "refuted"), (0.0, "undecided")]
)
def test_a_planted_relation_is_told_by_its_sign(monkeypatch, slope, verdict):
    told = judged(monkeypatch, varied(slope))["M1"]
    assert told["verdict"] == verdict
    assert told["low"] <= told["correlation"] <= told["high"]
    assert told["mechanisms"] == 20


def test_of_forced_choice_the_sentence_claims_the_other_sign(monkeypatch):
    rng = np.random.default_rng(1)
    pairs = {f"find-{i}": (x, -x + 0.01 * rng.normal()) for i, x in enumerate(rng.normal(size=12))}
    told = judged(monkeypatch, varied(0.2), pairs)
    assert told["M2"]["verdict"] == "supported"
    assert told["M2"]["correlation"] < 0
    assert all(row["p"] <= row["p_holm"] for row in told.values())


def test_of_too_few_nothing_is_told(monkeypatch):
    assert judged(monkeypatch, varied(0.2, k=sharper.FEWEST - 1)) == {}


def test_arms_without_a_sharpness_and_the_start_are_left_out():
    rows = varied(0.2, k=9)
    rows[1]["entropy"] = ""
    rows[2]["p_holm"] = ""  # the start, which had fewer steps
    assert [*sharper.read(rows)] == [row["arm"] for row in rows[3:]]


def test_it_is_spearmans_correlation_in_every_resample():
    rng = np.random.default_rng(2)
    x, y = rng.integers(5, size=(2, 11))  # with ties
    found = sharper.correlations(x, y, resamples=30)
    drawn = np.random.default_rng(0).integers(11, size=(30, 11))
    expected = [spearmanr(x, y)[0], *(spearmanr(x[i], y[i])[0] for i in drawn)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_what_is_all_alike_has_no_correlation():
    assert sharper.correlations([1.0] * 5, np.arange(5.0), resamples=3).tolist() == [0.0] * 4


def encoder_rows(level):
    about = {"filler": "words", "slot": "encoder", "metric": "normalised_entropy"}
    about |= {"temperature": "1.0", "hay": str(LONGEST)}
    beside = about | {"slot": "cross", "mean": "9.0"}  # is not to be counted
    return [beside, *(about | {"mean": str(level + off)} for off in (-0.1, 0.1))]


def test_finding_is_held_against_the_encoder_of_the_unchanged_arm():
    told = planted_evidence.evidence(rates={SHARPER: {1.0: 0.8}})
    levels = {LONG: 0.6, SHARPER: 0.5, SOFTER: 0.7}
    told = replace(told, entropies={arm: [encoder_rows(at)] for arm, at in levels.items()})
    pairs = sharper.found(told)
    assert pairs[SHARPER] == pytest.approx((-0.1, 0.1), abs=0.02)
    assert pairs[SOFTER] == pytest.approx((0.1, 0.0))
    assert sharper.found(replace(told, entropies={LONG: told.entropies[LONG]})) == {}
