"""How often an arm answers recall with a digit at all, and what it is worth when it does.

A wrong digit may be a guess. If all that is not known is guessed, wrong digits stand for right ones
by luck, in the odds of whoever guesses: Diamond & Evans (1973), The correction for guessing,
https://doi.org/10.3102/00346543043002181. Which guesser (verdicts.chance) cannot be told, for the
wrong digits themselves were not kept; so both corrections stand beside the share that needs none.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from focused_attention.errors import UserError
from focused_attention.verdicts.chance import any_digit, heard_digit
from focused_attention.verdicts.findings import Cell, Line, Options, Rows, rated


def guesses(arm: str, runs: Sequence[Rows], options: Options) -> list[dict]:
    """Rates of recall at every temperature, with their paired differences from 1.

    `digits` is the share of answers that begin with a digit, `right` that of the value itself, and
    `right_given_digit` the latter's share of the former. `beyond_any_digit` and
    `beyond_heard_digit` are right answers less what each guesser would have got by luck. `runs`
    are the rows of every seed's file in guess/. Raises UserError where temperature 1 is missing.
    """
    temperatures = sorted({float(row["temperature"]) for row in runs[0]})
    if 1.0 not in temperatures:
        raise UserError("params.yaml: temperatures: 1.0 must be among them")
    order = sorted(temperatures, key=lambda t: (abs(math.log(t)), t))
    right, digit = (
        np.stack([[bits(rows, t, name) for rows in runs] for t in order])
        for name in ("right", "digit")
    )
    first = runs[0][0]
    pairs, hay = int(first["needles"]), int(first["hay"])
    once = np.ones_like(right)
    measures = {
        "digits": (digit, once),
        "right": (right, once),
        "right_given_digit": (right, digit),
        "beyond_any_digit": beyond(any_digit(), right, digit),
        "beyond_heard_digit": beyond(heard_digit(pairs), right, digit),
    }
    place = Cell("recall", pairs, hay, "cross", 1.0)
    with np.errstate(invalid="ignore"):  # no digit written: it is worth nothing that can be told
        return [
            {"arm": arm, "hay": hay, "temperature": value, "measure": name} | row
            for name, (above, below) in measures.items()
            for value, row in rated(Line(place, np.array(order), above, below, math.nan), options)
        ]


def beyond(luck: Fraction, right: np.ndarray, digit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of what is right beyond `luck`: whole numbers, as they add up."""
    odds = luck / (1 - luck)
    above = odds.denominator * right - odds.numerator * (digit - right)
    return above, np.full_like(right, odds.denominator)


def bits(rows: Rows, temperature: float, column: str) -> np.ndarray:
    """A run's answers at one temperature, (utterances,) zeros and ones."""
    (row,) = (row for row in rows if float(row["temperature"]) == temperature)
    return np.array([int(bit) for bit in row[column]])
