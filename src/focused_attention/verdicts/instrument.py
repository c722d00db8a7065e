"""The plan's checks of the instrument that results can tell; the others are tests.

A check names the claims that it guards. One that something must not change holds if its 99 %
interval lies within two points either way, fails if it lies outside, and waits otherwise for more
recordings or seeds; one that something must change, the other way round.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from focused_attention.verdicts.effects import Effect, effect
from focused_attention.verdicts.evidence import (
    LONG,
    PLAIN,
    SHARP,
    Evidence,
    NotComparedError,
    replied,
)
from focused_attention.verdicts.heads import entropy_range
from focused_attention.verdicts.replies import Asked

HOT = 4.0
CERTAIN = 0.99  # confidence of a check: one good instrument in twenty is too many to stop
BOUND = 0.02  # of an effect that does not matter, as the claims have it


class Check(NamedTuple):
    test: str
    guards: tuple[str, ...]  # claims on which it has a bearing
    measure: Callable[[Evidence], dict]


def check(evidence: Evidence) -> dict[str, dict]:
    """Every check: {name: {test, guards, state, ...}}, its state holds, fails, waits or not run."""
    checks = {}
    for name, one in CHECKS.items():
        try:
            found = one.measure(evidence)
        except NotComparedError as error:
            found = {"state": "not run", "reason": str(error)}
        checks[name] = {"test": one.test, "guards": list(one.guards)} | found
    return checks


def state(within: bool, beyond: bool) -> str:
    """Of an interval that lies where it must, where it must not, or across."""
    return "holds" if within else "fails" if beyond else "waits"


def bounded(found: Effect) -> dict:
    """A change that must not be."""
    low, high = found.found.low, found.found.high
    return {
        "state": state(low >= -BOUND and high <= BOUND, low > BOUND or high < -BOUND),
        "effect": found.found.estimate, "low": low, "high": high, "seeds": found.seeds,
        "n": found.n,
    }  # fmt: skip


def exchanged(given: np.ndarray, held: Asked) -> np.ndarray:
    """Whether forced choices (seeds, n) are the values of the next recordings.

    Only of recordings in which that digit was heard: no other could be chosen.
    """
    n = given.shape[1]
    others = np.roll(held.value[:n], -1)
    heard = [
        other in own + rest + lone
        for other, own, rest, lone in zip(others, held.value, held.others, held.lone, strict=False)
    ]
    return (given == others)[:, heard].astype(float)


def check_exchanged(arm: str) -> Callable[[Evidence], dict]:
    def measure(evidence: Evidence) -> dict:
        place = evidence.longest
        held = evidence.asked[place.split, place.filler, place.hay]
        sharp, plain = (
            exchanged(replied(evidence.recalled, arm, place._replace(temperature=t)).forced, held)
            for t in (SHARP, 1.0)
        )
        found = effect(sharp - plain, evidence.options.resamples, CERTAIN)
        return bounded(found) | {"rate": float(plain.mean())}

    return measure


def check_hot(arm: str) -> Callable[[Evidence], dict]:
    def measure(evidence: Evidence) -> dict:
        place = evidence.longest
        hot, plain = (
            replied(evidence.recalled, arm, place._replace(temperature=t)).bound.astype(float)
            for t in (HOT, 1.0)
        )
        found = effect(hot - plain, evidence.options.resamples, CERTAIN).found
        return {
            "state": state(found.high < -BOUND, found.low > -BOUND),
            "effect": found.estimate, "low": found.low, "high": found.high,
        }  # fmt: skip

    return measure


def check_neutral(evidence: Evidence) -> dict:
    cells, different = 0, []
    for arm, cell in evidence.recalled.items():
        for place, answers in cell.items():
            if place.slot != "cross" and place.temperature == 1:
                cells += 1
                same = cell[place._replace(slot="cross")]
                if not np.array_equal(answers.forced, same.forced):
                    different.append((arm, place))
    if not cells:
        raise NotComparedError("this profile heats cross-attention alone")
    return {"state": state(not different, bool(different)), "cells": cells}


def check_entropy(evidence: Evidence) -> dict:
    found = entropy_range(evidence.entropies)
    if not found:
        raise NotComparedError("this profile does not measure entropies")
    low, high = found
    return {"state": state(low >= 0 and high <= 1, low < 0 or high > 1), "low": low, "high": high}


CHECKS = {
    "exchanged short": Check(
        f"trained short: forced choices are no more often another recording's at {SHARP}",
        ("C1a",), check_exchanged(PLAIN),
    ),
    "exchanged long": Check(
        f"trained long: forced choices are no more often another recording's at {SHARP}",
        ("C1b", "C4", "C5"), check_exchanged(LONG),
    ),
    "hot short": Check(
        f"trained short: temperature {HOT:g} in cross-attention ruins binding",
        ("C1a",), check_hot(PLAIN),
    ),
    "hot long": Check(
        f"trained long: temperature {HOT:g} in cross-attention ruins binding",
        ("C1b", "C4", "C5"), check_hot(LONG),
    ),
    "neutral": Check(
        "at temperature 1 every slot gives the same answers", (), check_neutral
    ),
    "entropy": Check("entropy / log n lies between 0 and 1", ("C2",), check_entropy),
}  # fmt: skip
