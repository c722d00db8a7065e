"""Answers as counts that any rate can be made of, and as columns of a results file."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

MOST = 9  # a count is one character in the results


@dataclass(frozen=True, slots=True)
class Counts:
    """Words of an answer: asked for, written, and written that were asked for."""

    asked: int
    written: int
    right: int


def digits(answers: list[Counts], task: str) -> dict[str, str]:
    """Answers as columns of a results file: a digit an utterance, in order.

    One word of `recall` is asked for and written, always: there the columns are empty.
    """
    counted = () if task == "recall" else ("asked", "written")
    return {
        name: "".join(str(getattr(a, name)) for a in answers) if name in (*counted, "right") else ""
        for name in ("asked", "written", "right")
    }


def scores(row: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """What `digits` wrote as numerators and denominators, (utterances,) each.

    Their sums' ratio is the accuracy of `recall`, and the F1 of `spot`: twice the right words over
    those asked for and those written.
    """
    right, asked, written = (
        np.frombuffer(row.get(name, "").encode(), np.uint8) - ord("0")
        for name in ("right", "asked", "written")
    )
    if not asked.size:
        return right, np.ones_like(right)
    return 2 * right, asked + written
