"""What F1 of spotted digits is made of: how many are written, and how many of each side are right.

F1 rises as well when more is written as when what is written is better: precision and recall tell.
"""

import math
from collections.abc import Sequence

import numpy as np

from focused_attention.verdicts.findings import Cell, Line, Options, Rows, rated

MEASURES = {  # numerators and denominators, of counts of digits (temperatures, seeds, utterances)
    "precision": lambda asked, written, right: (right, written),
    "recall": lambda asked, written, right: (right, asked),
    "f1": lambda asked, written, right: (2 * right, asked + written),
    "written": lambda asked, written, right: (written, asked),
}


def spotting(arm: str, runs: Sequence[Rows], options: Options) -> list[dict]:
    """Every measure at every size and temperature of cross-attention, and its difference from 1.

    `runs` are the rows of every seed's file in sweep/. Precision is missing where nothing is
    written.
    """
    chosen = [
        [
            row
            for row in rows
            if (row["task"], row["slot"]) == ("spot", "cross")
            and (row["split"], row["answers"]) == ("test", "own")
        ]
        for rows in runs
    ]
    table = []
    for hay in dict.fromkeys(int(row["hay"]) for row in chosen[0]):
        of = [{float(r["temperature"]): r for r in rows if int(r["hay"]) == hay} for rows in chosen]
        order = sorted(of[0], key=lambda t: (abs(math.log(t)), t))
        asked, written, right = (
            np.array([[list(map(int, seed[t][name])) for seed in of] for t in order])
            for name in ("asked", "written", "right")
        )
        first = of[0][1.0]
        seconds = float(first["seconds"])
        place = Cell("spot", int(first["needles"]), hay, "cross", 1.0)
        for measure, parts in MEASURES.items():
            line = Line(place, np.array(order), *parts(asked, written, right), seconds)
            with np.errstate(invalid="ignore"):  # nothing written: no precision
                rows = list(rated(line, options))
            table += [
                {"arm": arm, "hay": hay, "seconds": seconds, "temperature": value}
                | {"measure": measure}
                | row
                for value, row in rows
            ]
    return table
