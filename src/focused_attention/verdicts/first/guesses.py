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
from focused_attention.verdicts.findings import RATE, Cell, Line, Options, Rows, rated
from focused_attention.verdicts.first.chance import any_digit, heard_digit


def guesses(arm: str, runs: Sequence[Rows], options: Options) -> list[dict]:
    """Rates of recall at every temperature, with their paired differences from 1.

    `digits` is the share of answers that begin with a digit, `right` that of the value itself, and
    `right_given_digit` the latter's share of the former. `beyond_any_digit` and
    `beyond_heard_digit` are right answers less what each guesser would have got by luck.
    `right_where_both` compares the same recordings, those that are answered with a digit at both
    temperatures, and `right_where_new` is of those that are not at 1. `runs` are the rows of every
    seed's file in guess/. Raises UserError where temperature 1 is missing.
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
    found = []
    with np.errstate(invalid="ignore"):  # no digit written: it is worth nothing that can be told
        for name, (above, below) in measures.items():
            line = Line(place, np.array(order), above, below, math.nan)
            found += [(name, value, row) for value, row in rated(line, options)]
        for i, value in enumerate(order[1:], 1):
            pair = np.array([1.0, value])
            same = digit[0] * digit[i]  # recordings that are answered with a digit at both
            both = Line(place, pair, right[[0, i]] * same, np.stack([same, same]), math.nan)
            row = dict(rated(both, options))[value]
            found.append(("right_where_both", value, row))
            new = (1 - digit[0]) * digit[i]  # that are at this temperature alone
            only = Line(place, pair, np.stack([right[i] * new] * 2), np.stack([new] * 2), math.nan)
            row = dict(rated(only, options))[value] | dict.fromkeys(RATE[-3:], math.nan)
            found.append(("right_where_new", value, row))
    return [
        {"arm": arm, "hay": hay, "temperature": value, "measure": name} | row
        for name, value, row in found
    ]


def by_place(arm: str, runs: Sequence[Rows], asked: Rows, options: Options) -> list[dict]:
    """How often a digit is right, by the place of the pair that is asked.

    Who names the digit heard first or last is right at one place alone. `asked` is asked.csv.
    """
    first = runs[0][0]
    hay = int(first["hay"])
    places = np.array([int(row["place"]) for row in asked if int(row["hay"]) == hay])
    right, digit = (
        np.stack([bits(rows, 1.0, name) for rows in runs])[None] for name in ("right", "digit")
    )
    cell = Cell("recall", int(first["needles"]), hay, "cross", 1.0)
    rows = []
    for place in sorted(set(places.tolist())):
        of = places == place
        line = Line(cell, np.array([1.0]), right[..., of], digit[..., of], math.nan)
        with np.errstate(invalid="ignore"):  # as above
            ((_, row),) = rated(line, options)
        rows.append({"arm": arm, "hay": hay, "place": place} | {k: row[k] for k in RATE[:5]})
    return rows


def beyond(luck: Fraction, right: np.ndarray, digit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of what is right beyond `luck`: whole numbers, as they add up."""
    odds = luck / (1 - luck)
    above = odds.denominator * right - odds.numerator * (digit - right)
    return above, np.full_like(right, odds.denominator)


def bits(rows: Rows, temperature: float, column: str) -> np.ndarray:
    """A run's answers at one temperature, (utterances,) zeros and ones."""
    (row,) = (row for row in rows if float(row["temperature"]) == temperature)
    return np.array([int(bit) for bit in row[column]])
