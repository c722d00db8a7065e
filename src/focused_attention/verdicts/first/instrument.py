"""The plan's checks of the instrument that results can tell; the others are tests.

If one fails, nothing is judged: so the plan has it, and so it was judged. That is too much and too
little: a check stops claims on which it has no bearing, and one that asks for no effect at all
passes where seeds are few. Every check therefore names the claims it guards, and says what the next
plan's rule, which bounds the effect, would make of it; that decides nothing here.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from focused_attention.verdicts.findings import Options
from focused_attention.verdicts.first.chance import any_digit
from focused_attention.verdicts.first.evidence import (
    SHARP,
    Evidence,
    NotComparedError,
    asked,
    longest,
)
from focused_attention.verdicts.heads import entropy_range
from focused_attention.verdicts.readers import PLAIN
from focused_attention.verdicts.statistics import seeds_difference, seeds_interval

HOT = 4.0
CHANCE = float(any_digit())  # of another recording's value, whatever was heard in this one
CERTAIN = 0.99  # confidence of a check: one good instrument in twenty is too many to stop
BOUND = 0.02  # of an effect that does not matter, as the claims have it


class Check(NamedTuple):
    test: str
    guards: tuple[str, ...]  # claims on which it has a bearing
    bound: float | None  # of an effect, in the next plan; None where equality is exact
    measure: Callable[[Evidence], dict]


def check(evidence: Evidence) -> dict[str, dict]:
    """Every check: {name: {test, guards, confidence, holds, equivalence, ...}}.

    `holds` is None where this profile does not measure it, and `confidence` None where there is no
    interval. `equivalence` is {bound, outcome} by the rule of the next plan: an effect that must
    not be holds within the bound, fails beyond it, and else waits for more recordings or seeds; one
    that must be, the other way round.
    """
    checks = {}
    for name, one in CHECKS.items():
        certain = None if one.bound is None else CERTAIN
        about = {"test": one.test, "guards": list(one.guards), "confidence": certain}
        try:
            found = one.measure(evidence)
            outcome = found.pop("outcome", "holds" if found["holds"] else "fails")
        except NotComparedError as error:
            found, outcome = {"holds": None, "reason": str(error)}, None
        checks[name] = about | found | {"equivalence": {"bound": one.bound, "outcome": outcome}}
    return checks


def outcome(within: bool, beyond: bool) -> str:
    """Of an interval that lies within the bound, beyond it, or across."""
    return "holds" if within else "fails" if beyond else "waits"


def check_exchanged(evidence: Evidence) -> dict:
    options = Options(evidence.study.options.resamples, CERTAIN)._asdict()
    sharp, plain = (
        asked(evidence.swept, PLAIN, longest(evidence, "recall", t, answers="another"))
        for t in (SHARP, 1.0)
    )
    low, high = seeds_interval(*plain[:2], **options)
    change = seeds_difference(sharp[:2], plain[:2], **options)
    return {
        "holds": low <= CHANCE <= high and change.low <= 0 <= change.high,
        "outcome": outcome(  # from above alone: of these answers not all are digits
            within=high <= CHANCE + BOUND and change.low >= -BOUND and change.high <= BOUND,
            beyond=low > CHANCE + BOUND or change.low > BOUND or change.high < -BOUND,
        ),
        "rate": float(plain.above.mean()), "low": low, "high": high, "chance": CHANCE,
        "difference": change.estimate, "difference_low": change.low,
        "difference_high": change.high,
    }  # fmt: skip


def check_hot(evidence: Evidence) -> dict:
    if PLAIN in evidence.swept and evidence.untrained(PLAIN):
        raise NotComparedError(f"{PLAIN} did not learn to recall: there is nothing to lower")
    hot, plain = (
        [
            asked(evidence.swept, PLAIN, longest(evidence, "recall", t)._replace(hay=hay)).above
            for hay in evidence.study.sweep.words
        ]
        for t in (HOT, 1.0)
    )
    sides = ((above, np.ones_like(above)) for above in map(np.hstack, (hot, plain)))
    options = Options(evidence.study.options.resamples, CERTAIN)
    change = seeds_difference(*sides, **options._asdict())
    return {
        "holds": change.high < 0,
        "outcome": outcome(within=change.high < -BOUND, beyond=change.low > -BOUND),
        "difference": change.estimate, "low": change.low, "high": change.high,
    }  # fmt: skip


def check_neutral(evidence: Evidence) -> dict:
    different = cells = 0
    for swept in evidence.swept.values():
        for place, answers in swept.items():
            own = (place.split, place.answers) == ("test", "own")
            if own and place.temperature == 1 and place.slot != "cross":
                cells += 1
                same = swept[place._replace(slot="cross")]
                different += not all(map(np.array_equal, answers[:2], same[:2]))
    if not cells:
        raise NotComparedError("this profile heats cross-attention alone")
    return {"holds": not different, "cells": cells, "different": different}


def check_entropy(evidence: Evidence) -> dict:
    found = entropy_range(evidence.entropies)
    if not found:
        raise NotComparedError("this profile does not measure entropies")
    low, high = found
    return {"holds": low >= 0 and high <= 1, "low": low, "high": high}


RECALL = ("C1", "C4", "C5", "C6")  # claims on what is recalled
HEATED = ("C1", "C3", "C4", "C5")  # claims in which temperature is turned at inference
CHECKS = {
    "exchanged": Check(
        f"answers compared with another utterance's fall to chance, and temperature {SHARP} "
        "changes nothing",
        RECALL, BOUND, check_exchanged,
    ),
    "hot": Check(
        f"temperature {HOT:g} in cross-attention lowers recall over all sizes",
        RECALL, BOUND, check_hot,
    ),
    "neutral": Check(
        "at temperature 1 every slot gives the same answers", HEATED, None, check_neutral
    ),
    "entropy": Check("entropy / log n lies between 0 and 1", ("C2",), None, check_entropy),
}  # fmt: skip
