"""Verdicts from planted answers: what is planted is found, and nothing else."""

import dataclasses

import numpy as np
import pytest

from focused_attention.verdicts import findings
from focused_attention.verdicts.findings import Answers, Cell
from focused_attention.verdicts.first import rules
from focused_attention.verdicts.first.claims import CLAIMS
from focused_attention.verdicts.statistics import Difference
from tests.verdicts.planted import SEEDS, N, dev_rows, line, rates, timed, wer_rows


def claims(evidence):
    return rules.judge(evidence)["claims"]


def test_planted_effects_are_supported(evidence):
    better = {"recall": rates(0.9)}
    judged = rules.judge(
        evidence(
            recall=rates(0.7, t071=0.8), spot=rates(0.7, t071=0.8), pruned=rates(0.5, t071=0.7),
            far=0.7, **{"echo-cross-learned": better, "echo-cross-false": better},
        )
    )  # fmt: skip
    assert {c["verdict"] for c in judged["claims"].values()} == {"supported"}
    assert all(check["holds"] for check in judged["checks"].values())
    for name in CLAIMS:
        claim = judged["claims"][name]
        assert claim["low"] > 0
        assert claim["p"] <= claim["p_holm"] < 0.05
        assert claim["missing"] is None
    assert judged["claims"]["C1"]["effect"] == pytest.approx(0.1, abs=0.03)
    assert judged["claims"]["C2"]["effect"] == pytest.approx(0.2)
    assert judged["claims"]["C4"]["temperature"] == 1


def test_no_effect_is_refuted_where_the_interval_is_narrow(evidence):
    found = claims(evidence())
    assert {found[name]["verdict"] for name in ("C1", "C3", "C4", "C5", "C6")} == {"refuted"}
    assert found["C1"]["effect"] == 0
    assert found["C1"]["p"] == 1


def test_a_planted_drop_is_refuted(evidence):
    found = claims(evidence(recall=rates(0.8, t071=0.7), far=0.3))
    assert found["C1"]["verdict"] == found["C2"]["verdict"] == "refuted"
    assert "below zero" in found["C1"]["reason"]


def test_shuffled_labels_have_no_effect(evidence):
    rng = np.random.default_rng(4)
    planted = evidence(recall=rates(0.5, t071=0.9))
    cells = planted.swept["echo"]
    sharp, plain = (Cell("recall", 4, 40, "cross", t) for t in (0.71, 1.0))
    assert claims(planted)["C1"]["verdict"] == "supported"
    swap = rng.random((SEEDS, N)) < 0.5
    a, b = cells[sharp].above, cells[plain].above
    for place, above in ((sharp, np.where(swap, a, b)), (plain, np.where(swap, b, a))):
        for slot in ("cross", "encoder", "both") if place is plain else ("cross",):
            cells[place._replace(slot=slot)] = cells[place]._replace(above=above)
    found = claims(planted)["C1"]
    assert found["verdict"] == "undecided"
    assert found["low"] < 0 < found["high"]


def test_an_uncertain_effect_is_undecided_and_says_what_is_missing(evidence):
    planted = evidence()
    plain = Cell("recall", 4, 40, "cross", 1.0)
    cells = planted.swept["echo"]
    right = cells[plain].above.copy()
    right[:, np.flatnonzero(right.max(axis=0) == 0)[:14]] = 1  # answers that change, either way
    right[:, np.flatnonzero(right.min(axis=0) == 1)[:8]] = 0
    cells[plain._replace(temperature=0.71)] = cells[plain]._replace(above=right)
    found = claims(planted)["C1"]
    assert found["verdict"] == "undecided"
    assert found["low"] < 0 < 0.02 < found["high"]
    more = found["missing"]
    assert more["half_width"] == pytest.approx((found["high"] - found["low"]) / 2)
    assert more["utterances"] == pytest.approx(4 * N, rel=0.1)
    assert more["seeds"] is None


@pytest.mark.parametrize(
    ("low", "estimate", "high", "p", "expected"),
    [
        (0.01, 0.03, 0.05, 0.01, "supported"),
        (0.01, 0.02, 0.03, 0.01, "supported"),
        (0.01, 0.03, 0.05, 0.06, "undecided"),  # the adjusted p-value
        (0.005, 0.015, 0.025, 0.01, "undecided"),  # below the margin, which is not excluded
        (-0.01, 0.03, 0.05, 0.2, "undecided"),
        (0.005, 0.01, 0.015, 0.01, "refuted"),  # there is an effect, but not one that matters
        (-0.01, 0.0, 0.01, 1.0, "refuted"),
        (-0.1, -0.05, -0.01, 0.01, "refuted"),
    ],
)
def test_the_rule_of_the_plan(low, estimate, high, p, expected):
    verdict, reason = rules.decide(Difference(estimate, low, high, p, 1.0), p)
    assert verdict == expected
    assert reason.endswith(".")


def test_the_fixed_arms_temperature_is_chosen_on_dev(evidence):
    off = {"recall": rates(0.6, t141=0.8), "dev": rates(0.6, t050=0.7)}  # test has another best
    found = claims(evidence(**{"echo-cross-off": off}))["C4"]
    assert found["temperature"] == 0.5
    assert found["effect"] == pytest.approx(0.2, abs=0.04)


def test_an_arm_that_cannot_recall_is_not_judged(evidence):
    effect = {"recall": rates(0.7, t071=0.8), "far": 0.7}
    found = claims(evidence(last=0.85, **effect))
    for name in ("C1", "C3", "C4", "C5", "C6"):
        assert found[name]["verdict"] == "undecided"
        assert found[name]["effect"] is None
        assert "nine in ten" in found[name]["reason"]
        assert found[name]["ungated"] is None
    assert found["C2"]["verdict"] == "supported"
    found = claims(evidence(last={"echo-cross-true": 0.5}, **effect))
    assert found["C1"]["verdict"] == "supported"
    assert found["C6"]["reason"].endswith("recalled by echo-cross-true.")
    assert found["C4"]["ungated"] is None


def test_arms_that_miss_the_gate_are_shown_and_decide_nothing(evidence):
    better = {"echo-cross-false": {"recall": rates(0.9)}}
    judged = claims(evidence(last={"echo-cross-true": 0.5}, **better))["C6"]
    assert judged["verdict"] == "undecided"
    assert judged["effect"] is judged["p_holm"] is judged["missing"] is None
    passed = claims(evidence(**better))["C6"]
    for key in ("effect", "low", "high", "n", "seeds"):
        assert judged["ungated"][key] == passed[key]


@pytest.mark.parametrize(
    ("shares", "expected"), [((0.95, 0.95, 0.8), []), ((0.9, 0.9, 0.89), ["echo"])]
)
def test_the_gate_is_the_average_of_the_seeds(evidence, shares, expected):
    rows = [findings.learning("echo", s, 9, dev_rows(v)) for s, v in enumerate(shares)]
    assert dataclasses.replace(evidence(), learning=rows).untrained("echo") == expected


def test_an_arm_that_was_not_trained_leaves_its_claims_undecided(evidence):
    found = claims(evidence(arms=("echo",), recall=rates(0.7, t071=0.8)))
    assert found["C1"]["verdict"] == "supported"
    for name in ("C4", "C6"):
        assert found[name]["verdict"] == "undecided"
        assert found[name]["effect"] is found[name]["p"] is found[name]["missing"] is None
        assert "does not train" in found[name]["reason"]


def test_too_few_seeds_decide_nothing(evidence):
    planted = evidence(recall=rates(0.7, t071=0.8))
    one = dataclasses.replace(planted, study=dataclasses.replace(planted.study, seeds=[4]))
    found = claims(one)
    assert [found[name]["effect"] for name in CLAIMS] == [None] * 6
    assert found["C1"]["reason"] == "The plan asks for 3 seeds, this profile has 1."


def test_a_size_that_was_not_measured_leaves_its_claim_undecided(evidence):
    planted = evidence()
    planted.study.sweep.words.append(200)
    found = claims(planted)["C1"]
    assert found["verdict"] == "undecided"
    assert "200 to pass over" in found["reason"]


def test_six_comparisons_are_adjusted_for_even_if_fewer_are_made(evidence):
    judged = rules.judge(evidence(arms=("echo",), recall=rates(0.7, t071=0.8)))
    assert judged["family"].keys() == {"C1", "C2", "C3", "C4", "C5", "C6"}
    assert judged["family"]["C1"]["p_holm"] == pytest.approx(6 * judged["family"]["C1"]["p"])
    assert judged["family"]["C4"] == {"p": 1, "p_holm": 1}


@pytest.mark.parametrize("broken", ["exchanged", "hot", "neutral", "entropy"])
def test_nothing_is_judged_with_a_broken_instrument(evidence, broken):
    planted = evidence(recall=rates(0.7, t071=0.8), far=1.2 if broken == "entropy" else 0.7)
    cells = planted.swept["echo"]
    longest = Cell("recall", 4, 40, "cross", 1.0)
    if broken == "exchanged":
        cells |= line(longest._replace(answers="another"), rates(0.3), seed=2)
    if broken == "hot":
        for hay in (0, 40):
            cells |= line(longest._replace(hay=hay), rates(0.7, t400=0.7))
    if broken == "neutral":
        encoder = longest._replace(slot="encoder")
        cells[encoder] = cells[encoder]._replace(above=1 - cells[encoder].above)
    judged = rules.judge(planted)
    failed = [name for name, check in judged["checks"].items() if check["holds"] is False]
    assert broken in failed
    assert judged["checks"][broken]["equivalence"]["outcome"] == "fails"
    assert {judged["claims"][name]["verdict"] for name in CLAIMS} == {"undecided"}
    assert f"instrument failed: {', '.join(failed)}" in judged["claims"]["C1"]["reason"]


def test_a_check_names_its_confidence_its_claims_and_its_bound(evidence):
    judged = rules.judge(evidence())
    for name, check in judged["checks"].items():
        bound = check["equivalence"]["bound"]
        assert (check["confidence"], bound) in {(0.99, 0.02), (None, None)}, name
        assert set(check["guards"]) <= set(CLAIMS), name
    guarded = judged["checks"]["exchanged"]["guards"]
    assert "C1" in guarded
    assert not {"C2", "C3"} & set(guarded)  # entropies, and digits that are not recalled
    assert judged["of_one_machine"] == ["C1", "C2", "C3", "C4", "C5", "C6"]


def test_a_change_that_is_small_and_certain_is_within_the_next_plans_bound(evidence):
    """Zero lies outside, so the check of the first plan fails; a bound of two points holds it."""
    planted = evidence()
    cells = planted.swept["echo"]
    longest = Cell("recall", 4, 40, "cross", 1.0, answers="another")
    seeds, n = cells[longest].above.shape
    plain = np.zeros((seeds, n), np.uint8)
    plain[:, : n // 10] = 1
    sharp = plain.copy()
    sharp[:, n // 10 : n // 10 + 3] = 1  # one point more, with every seed
    one = np.ones_like(plain)
    cells[longest] = Answers(plain, one, 5.0)
    cells[longest._replace(temperature=0.71)] = Answers(sharp, one, 5.0)
    found = rules.judge(planted)["checks"]["exchanged"]
    assert 0 <= found["difference_low"] < found["difference_high"] < 0.04
    expected = "holds" if found["difference_high"] <= 0.02 else "waits"
    assert found["equivalence"]["outcome"] == expected


def test_the_parts_of_f1_stand_in_the_verdict(evidence):
    spotted = [
        {"arm": "echo", "hay": 9, "temperature": 0.71, "measure": measure}
        | dict(zip(findings.RATE, (3, N, 0.9, 0.8, 1.0, change, -0.1, 0.1), strict=True))
        for measure, change in (("precision", -0.05), ("recall", 0.1))
    ]
    parts = claims(evidence(spotted=spotted))["C3"]["parts"]
    assert parts["precision"]["effect"] == -0.05
    assert parts["recall"] == {"at_one": 0.8, "effect": 0.1, "low": -0.1, "high": 0.1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "supported"),
        ({"wer": wer_rows(echo=0.04)}, "undecided"),
        ({"wer": wer_rows(echo=0.2)}, "refuted"),
        ({"wer": wer_rows()[1:]}, "undecided"),
        ({"timings": timed(published=(0.8, 0.9))}, "refuted"),
        ({"timings": timed(published=(0.9, 1.2))}, "undecided"),
        ({"timings": timed(corrected=(0.8, 0.9))}, "supported"),  # decides nothing
        ({"timings": []}, "undecided"),
    ],
)
def test_reading_and_run_time(evidence, changes, expected):
    found = claims(evidence(arms=("echo",), **changes))["C0"]
    assert found["verdict"] == expected
    assert found["reason"].endswith(".")


def test_run_times_are_those_of_the_module_they_name(evidence):
    times = claims(evidence(arms=("echo",)))["C0"]["lines"]["run_time"]
    mechanisms = {"published": "hybrid_published", "corrected": "hybrid"}
    for name, mechanism in mechanisms.items():
        assert [row["length"] for row in times[name]] == [500, 6000]
        assert {row["mechanism"] for row in times[name]} == {mechanism}
    assert {row["word"] for row in times["published"]} == {"slower"}
    assert {row["word"] for row in times["corrected"]} == {"open"}  # the interval holds 1


def test_heads_and_model_are_told_apart_in_either_direction(evidence):
    apart = claims(evidence(arms=("echo",)))["C0"]["lines"]["apart"]
    found = {(row["differs"], row["arm"], row["baseline"]): row for row in apart}
    assert [*found] == [
        ("heads", "echo-16", "echo"), ("heads", "whisper", "whisper-8"),
        ("both", "echo", "whisper"),
    ]  # fmt: skip
    turned = found["heads", "whisper", "whisper-8"]
    assert (turned["difference"], turned["low"], turned["high"]) == (-0.01, -0.02, -0.004)
