"""What sharpening changes, seed by seed: which of them a difference rests on.

An average over seeds says nothing of how they agree, and its interval widens by too little where
they are few (verdicts.statistics). Intervals of one seed are over utterances alone.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from focused_attention.verdicts.findings import Line, lines, rated
from focused_attention.verdicts.first.evidence import SHARP, Evidence

ALL, TRAINED = "all", "trained"  # rows over several seeds; trained: those that pass the gate alone


def by_seed(arm: str, evidence: Evidence) -> list[dict]:
    """Rates in cross-attention at temperature 1 and at the sharp one, and their paired difference.

    Rows are the arm's seeds, all of them, and those that recall enough dev values by themselves, at
    every size: with all weights kept, and with so many as were kept where rows were pruned.
    """
    pruned = (line for line in lines(evidence.pruned.get(arm, {})) if line.place.top_k)
    chosen = list(groups(arm, evidence))
    return [
        {"arm": arm, "seed": name, "task": line.place.task, "hay": line.place.hay}
        | {"top_k": line.place.top_k or "", "temperature": value}
        | row
        for line in chain(lines(evidence.swept[arm]), pruned)
        if line.place.slot == "cross" and SHARP in line.temperatures
        for name, seeds in chosen
        for value, row in rated(sharpened(line, seeds), evidence.study.options)
    ]


def groups(arm: str, evidence: Evidence) -> Iterator[tuple[int | str, list[int]]]:
    """What a row is of, and the places of its seeds; nothing for what has none."""
    runs = [row for row in evidence.learning if row["arm"] == arm]
    yield from ((row["seed"], [place]) for place, row in enumerate(runs))
    yield ALL, list(range(len(runs)))
    if trained := [place for place, row in enumerate(runs) if row["trained"]]:
        yield TRAINED, trained


def sharpened(line: Line, seeds: list[int]) -> Line:
    """The line at temperature 1 and the sharp one, with some of its seeds."""
    kept = np.isin(line.temperatures, (1.0, SHARP))
    return line._replace(
        temperatures=line.temperatures[kept],
        above=line.above[kept][:, seeds],
        below=line.below[kept][:, seeds],
    )
