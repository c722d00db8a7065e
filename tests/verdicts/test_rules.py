"""The plan's second edition on planted evidence: what is in it is found, and nothing else."""

import dataclasses
import json

import numpy as np
import pytest

from focused_attention.verdicts import rules
from focused_attention.verdicts.claims import CLAIMS, LEARNED, SELF
from focused_attention.verdicts.effects import Effect, Spread
from focused_attention.verdicts.evidence import LONG, PLAIN, SHARP, NotComparedError
from focused_attention.verdicts.replies import Place
from focused_attention.verdicts.statistics import Difference
from tests.verdicts import planted_replies
from tests.verdicts.planted_evidence import LONGEST, N, evidence

SOFT = {PLAIN: {SHARP: 0.8}}  # plain Echo binds better when sharpened


def claims(planted):
    return rules.judge(planted)["claims"]


def found(low, estimate, high, seeds=10):
    nothing = Spread(*[float("nan")] * 3)
    return Effect(Difference(estimate, low, high, 0.01, 1.0), low, high, nothing, seeds, N)


def test_what_softness_costs_supports_the_claim_of_that_model_alone():
    judged = claims(evidence(rates=SOFT))
    one = judged.pop("C1a")
    assert one["verdict"] == "supported"
    assert one["effect"] == pytest.approx(0.1, abs=0.02)
    for low, high in (("low", "high"), ("model_low", "model_high")):
        assert 0.05 < one[low] < one["effect"] < one[high] < 0.15
    assert (one["seeds"], one["n"]) == (10, N)
    others = {name: claim["verdict"] for name, claim in judged.items() if name != "C0"}
    assert set(others.values()) == {"equivalent"}
    assert judged["C1b"]["effect"] == judged["C1b"]["low"] == judged["C1b"]["high"] == 0


@pytest.mark.parametrize(
    ("rate", "verdict", "reason"),
    [
        (0.7, "equivalent", "no effect that matters"),
        (0.705, "equivalent", "no effect that matters"),
        (0.6, "refuted", "ends below zero"),
    ],
)
def test_a_change_of_nothing_is_equivalent_and_harm_refutes(rate, verdict, reason):
    one = claims(evidence(rates={PLAIN: {SHARP: rate}}))["C1a"]
    assert one["verdict"] == verdict
    assert reason in one["reason"]


def test_what_an_effect_starts_from_is_told_and_that_nothing_could_be_gained():
    judged = claims(evidence(rates={LONG: {SHARP: 1.0, 1.0: 0.995}}))
    full, free = judged["C1b"], judged["C1a"]
    assert full["base"] == pytest.approx(0.995, abs=0.005)
    assert full["verdict"] == "equivalent"
    assert (full["ceiling"], free["ceiling"]) == (True, False)
    assert f"has {100 * full['base']:.1f} %" in full["reason"]
    assert free["base"] == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(
    ("low", "estimate", "high", "p", "expected"),
    [
        (0.01, 0.03, 0.05, 0.01, "supported"),
        (0.01, 0.02, 0.03, 0.01, "supported"),
        (0.01, 0.03, 0.05, 0.06, "undecided"),  # the adjusted p-value
        (0.005, 0.015, 0.025, 0.01, "undecided"),  # below the margin, which is not excluded
        (-0.01, 0.03, 0.05, 0.2, "undecided"),
        (0.005, 0.01, 0.015, 0.01, "equivalent"),  # there is one, but none that matters
        (-0.01, 0.0, 0.01, 1.0, "equivalent"),
        (-0.03, -0.01, 0.01, 1.0, "refuted"),
        (-0.1, -0.05, -0.01, 0.01, "refuted"),
    ],
)
def test_the_rule_of_the_plan(low, estimate, high, p, expected):
    verdict, reason = rules.decide(found(low, estimate, high), p)
    assert verdict == expected
    assert reason.endswith(".")


def test_three_seeds_are_compared_and_not_judged():
    one = claims(evidence(seeds=3))["C1a"]
    assert one["verdict"] == "not judged"
    assert one["reason"] == "The plan asks for 10 seeds, this profile has 3."
    assert (one["effect"], one["seeds"], one["learned"]["seeds"]) == (0, 3, 3)
    assert claims(evidence())["C1a"]["verdict"] == "equivalent"


def test_a_failed_check_stops_what_it_guards_and_nothing_else():
    """A model that temperature 4 does not ruin."""
    judged = rules.judge(evidence(rates={PLAIN: SOFT[PLAIN] | {4.0: 0.7}}))
    assert judged["checks"]["hot short"]["state"] == "fails"
    assert judged["claims"]["C1a"]["verdict"] == "not judged"
    assert judged["claims"]["C1a"]["reason"] == "Check hot short fails."
    assert judged["claims"]["C1a"]["effect"] == pytest.approx(0.1, abs=0.02)
    assert judged["claims"]["C1b"]["verdict"] == "equivalent"


def replied(planted, arm, **forced):
    """The same evidence, with an arm's forced choices at the longest replaced: t071, t100."""
    held = planted.asked["test", "words", LONGEST]
    for value, given in ((SHARP, forced.get("t071")), (1.0, forced.get("t100"))):
        if given is not None:
            place = Place(hay=LONGEST, temperature=value)
            planted.recalled[arm][place] = planted_replies.replied(held, given)
    return planted


def test_answers_to_other_questions_stop_the_claims_on_recall():
    planted = evidence(rates=SOFT)
    held = planted.asked["test", "words", LONGEST]
    moved = planted_replies.shuffled(held, seeds=10)
    judged = rules.judge(replied(planted, LONG, t071=moved))
    assert judged["checks"]["exchanged long"]["state"] == "fails"
    verdicts = {name: claim["verdict"] for name, claim in judged["claims"].items()}
    assert [name for name, told in verdicts.items() if told == "not judged"] == ["C1b", "C4", "C5"]
    assert verdicts["C1a"] == "supported"


def test_a_check_that_cannot_tell_waits_and_so_do_its_claims():
    """Two models that only hear, of two lucks: how often they name another's value is chance."""
    planted = evidence(arms=(PLAIN,), rates={PLAIN: {4.0: 0.0}})
    heard = planted_replies.heard(planted.asked["test", "words", LONGEST])
    rng = np.random.default_rng(5)
    given = [np.array([[rng.choice(list(of)) for of in heard]] * 10) for _ in range(2)]
    judged = rules.judge(replied(planted, PLAIN, t071=given[0], t100=given[1]))
    assert judged["checks"]["exchanged short"]["state"] == "waits"
    assert judged["claims"]["C1a"]["verdict"] == "not judged"
    assert judged["claims"]["C1a"]["reason"] == "Check exchanged short waits."


@pytest.mark.parametrize("arms", [None, (PLAIN,)])
def test_eight_comparisons_are_adjusted_for_even_if_fewer_are_made(arms):
    judged = claims(evidence(rates=SOFT, **({"arms": arms} if arms else {})))
    assert len(CLAIMS) == 8
    assert judged["C1a"]["p_holm"] == pytest.approx(8 * judged["C1a"]["p"])
    assert judged["C1a"]["verdict"] == "supported"
    absent = {name for name, claim in judged.items() if claim["verdict"] == "not run"}
    assert absent == ({"C1b", "C1c", "C2", "C3", "C4", "C5", "C6"} if arms else set())


def test_an_arm_that_is_missing_is_named():
    arms = (PLAIN, LONG, SELF["sharper"])
    judged = claims(evidence(arms=arms))
    assert judged["C1c"]["verdict"] == "equivalent"
    assert judged["C6"]["reason"] == f"This profile does not train or measure {SELF['softer']}."
    assert LEARNED in judged["C4"]["reason"]
    assert not {"effect", "p_holm", "learned"} & judged["C6"].keys()


def test_the_effect_among_the_seeds_that_learned_stands_beside_and_decides_nothing():
    gained = np.where(np.arange(10) < 4, 0.9, 0.7)  # by four seeds, and only they have learned
    told = evidence(rates={PLAIN: {SHARP: gained}}, learned={PLAIN: range(4)})
    one = claims(told)["C1a"]
    assert one["effect"] == pytest.approx(0.08, abs=0.02)
    assert one["learned"]["effect"] == pytest.approx(0.2, abs=0.02)
    assert one["learned"]["low"] < one["learned"]["effect"] < one["learned"]["high"]
    assert (one["seeds"], one["learned"]["seeds"]) == (10, 4)
    nobody = claims(evidence(rates=SOFT, learned={PLAIN: ()}))["C1a"]
    assert nobody["learned"] is None
    assert nobody["verdict"] == "supported"


def test_a_seed_has_learned_where_every_arm_compared_has():
    learned = {SELF["softer"]: range(6), SELF["sharper"]: range(3, 10)}
    judged = claims(evidence(learned=learned))
    assert judged["C6"]["learned"]["seeds"] == 3
    assert judged["C1c"]["learned"]["seeds"] == 7
    with pytest.raises(NotComparedError, match="no seed"):
        evidence(learned=learned | {LONG: (0, 1)}).among_learned(LONG, SELF["sharper"])


def test_a_slope_is_held_against_the_other_slopes():
    judged = claims(evidence(rates={SELF["sharper"]: {1.0: 0.8}, SELF["softer"]: {1.0: 0.6}}))
    assert judged["C1c"]["verdict"] == "supported"
    assert judged["C1c"]["effect"] == pytest.approx(0.1, abs=0.02)
    assert judged["C6"]["verdict"] == "refuted"
    assert judged["C6"]["effect"] == pytest.approx(-0.2, abs=0.03)


def test_learned_temperatures_are_held_against_the_best_single_one_of_dev():
    """On test recordings another would be best, which nobody may know."""
    rates = {LONG: {0.5: 0.9, 1.41: 0.75}, LEARNED: {1.0: 0.8}}
    dev = {0.5: 0.7, 1.41: 0.85}
    one = claims(evidence(rates=rates, dev=dev))["C4"]
    assert one["effect"] == pytest.approx(0.8 - 0.75, abs=0.015)
    level = claims(evidence(rates={LEARNED: {1.0: 0.8}}))["C4"]  # of equals that nearest to 1
    assert level["effect"] == pytest.approx(0.1, abs=0.02)


def test_few_weights_and_exact_spotting_have_their_own_claims():
    judged = claims(evidence(pruned=(0.6, 0.5), exact=(0.45, 0.5)))
    assert (judged["C5"]["verdict"], judged["C3"]["verdict"]) == ("supported", "refuted")
    assert judged["C5"]["effect"] == pytest.approx(0.1, abs=0.02)
    assert judged["C3"]["effect"] == pytest.approx(-0.05, abs=0.015)


def test_a_rise_of_entropy_is_drawn_over_seeds_and_recordings():
    one = claims(evidence(far=0.7))["C2"]
    assert one["verdict"] == "supported"
    assert one["effect"] == pytest.approx(0.2, abs=0.015)
    width = 2 * 1.96 * 0.03 * (2 / 48) ** 0.5  # of recordings on two sides; seeds shift both alike
    assert one["high"] - one["low"] == pytest.approx(width, rel=0.15)
    assert one["model_low"] is one["sd_recording"] is None  # other recordings: no linear model


def test_what_is_judged_can_be_written_down():
    told = json.dumps(rules.judge(evidence(rates=SOFT, far=0.7)), allow_nan=False)
    assert '"C0"' in told


def test_what_models_read_is_judged_beside():
    one = claims(evidence())["C0"]
    assert one["verdict"] == "supported"
    slow = dataclasses.replace(evidence(), timings=[])
    assert claims(slow)["C0"]["verdict"] == "undecided"


def test_the_margin_the_seeds_and_the_guessers_stand_in_the_verdicts():
    judged = rules.judge(evidence())
    assert (judged["margin"], rules.SEEDS, judged["confidence"]) == (0.02, 10, 0.95)
    assert judged["guessers"]["any heard digit"] == pytest.approx(1 / 6)
