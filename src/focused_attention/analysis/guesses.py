"""What an arm recalls beyond guessing, and how often it answers with a digit at all.

A wrong digit is a guess, and k - 1 wrong ones stand for one that was right by luck; no digit is no
guess. Right answers less the wrong digits' share of 1 / (k - 1) are therefore what is known:
Diamond & Evans (1973), The correction for guessing, https://doi.org/10.3102/00346543043002181.
"""

import math
from collections.abc import Sequence

import numpy as np

from focused_attention.analysis.findings import Cell, Line, Options, Rows, rated
from focused_attention.analysis.instrument import CHANCE
from focused_attention.errors import UserError

WRONG = round(1 / CHANCE) - 1  # digits that are not the value


def guesses(arm: str, runs: Sequence[Rows], options: Options) -> list[dict]:
    """Three rates of recall at every temperature, with their paired differences from 1.

    `digits` is the share of answers that begin with a digit, `right` that of the value itself, and
    `known` what is left of it after the correction for guessing. `runs` are the rows of every
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
    measures = {
        "digits": (digit, 1),
        "right": (right, 1),
        "known": (WRONG * right - (digit - right), WRONG),
    }
    first = runs[0][0]
    place = Cell("recall", int(first["needles"]), int(first["hay"]), "cross", 1.0)
    return [
        {"arm": arm, "hay": place.hay, "temperature": value, "measure": name} | row
        for name, (above, of) in measures.items()
        for value, row in rated(
            Line(place, np.array(order), above, np.full_like(above, of), math.nan), options
        )
    ]


def bits(rows: Rows, temperature: float, column: str) -> np.ndarray:
    """A run's answers at one temperature, (utterances,) zeros and ones."""
    (row,) = (row for row in rows if float(row["temperature"]) == temperature)
    return np.array([int(bit) for bit in row[column]])
