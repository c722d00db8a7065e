"""The plan's checks of the instrument that results can tell; the others are tests.

If one fails, nothing is judged.
"""

import numpy as np

from focused_attention.analysis.evidence import (
    PLAIN,
    SHARP,
    Evidence,
    NotComparedError,
    asked,
    longest,
)
from focused_attention.analysis.findings import Options
from focused_attention.metrics.statistics import seeds_difference, seeds_interval

HOT = 4.0
CHANCE = 0.1  # of guessing one of ten digits
CERTAIN = 0.99  # confidence of a check: one good instrument in twenty is too many to stop


def check(evidence: Evidence) -> dict[str, dict]:
    """Every check: {name: {test, holds, ...}}.

    `holds` is None where this profile does not measure it.
    """
    checks = {}
    for name, (test, measure) in CHECKS.items():
        try:
            checks[name] = {"test": test} | measure(evidence)
        except NotComparedError as error:
            checks[name] = {"test": test, "holds": None, "reason": str(error)}
    return checks


def check_exchanged(evidence: Evidence) -> dict:
    options = Options(evidence.params.collect.resamples, CERTAIN)._asdict()
    sharp, plain = (
        asked(evidence.swept, PLAIN, longest(evidence, "recall", t, answers="another"))
        for t in (SHARP, 1.0)
    )
    low, high = seeds_interval(*plain[:2], **options)
    change = seeds_difference(sharp[:2], plain[:2], **options)
    return {
        "holds": low <= CHANCE <= high and change.low <= 0 <= change.high,
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
            for hay in evidence.params.sweep.words
        ]
        for t in (HOT, 1.0)
    )
    sides = ((above, np.ones_like(above)) for above in map(np.hstack, (hot, plain)))
    options = Options(evidence.params.collect.resamples, CERTAIN)
    change = seeds_difference(*sides, **options._asdict())
    return {
        "holds": change.high < 0,
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
    values = [
        float(row["mean"])
        for runs in evidence.entropies.values()
        for rows in runs
        for row in rows
        if row["metric"] == "normalised_entropy"
    ]
    if not values:
        raise NotComparedError("this profile does not measure entropies")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return {"holds": low >= 0 and high <= 1, "low": low, "high": high}


CHECKS = {
    "exchanged": (
        f"answers compared with another utterance's fall to chance, and temperature {SHARP} "
        "changes nothing",
        check_exchanged,
    ),
    "hot": (f"temperature {HOT:g} in cross-attention lowers recall over all sizes", check_hot),
    "neutral": ("at temperature 1 every slot gives the same answers", check_neutral),
    "entropy": ("entropy / log n lies between 0 and 1", check_entropy),
}
