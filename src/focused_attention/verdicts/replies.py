"""Answers of recall, put together from the rows of all seeds, and told apart by kind.

Shape alphabet: seeds and n, the recordings; every array is (seeds, n).
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from focused_attention.errors import UserError

Rows = Sequence[Mapping[str, str]]  # of a CSV file

KINDS = ("right", "swapped", "unpaired", "unheard", "none")
NO_DIGIT = "-"  # as metrics/answers.py writes it
OUTCOMES = ("bound", "right")  # forced choice among the digits that were heard; what is written


class Place(NamedTuple):
    """A setting at which every seed of an arm answers the same recordings."""

    hay: int
    temperature: float = 1.0
    filler: str = "words"
    slot: str = "cross"
    split: str = "test"
    top_k: int | None = None  # weights kept of each row


class Replies(NamedTuple):
    """The answers of an arm's seeds at a place."""

    right: np.ndarray  # what is written is the value
    bound: np.ndarray  # the likeliest of the digits that were heard is
    nats: np.ndarray  # what the value costs among those
    written: np.ndarray  # digits as characters, NO_DIGIT
    forced: np.ndarray
    seconds: float  # mean length of the recordings

    def of_seeds(self, places: Sequence[int]) -> "Replies":
        """The answers of some of the seeds."""
        return Replies(*(side[places] for side in self[:-1]), self.seconds)


class Asked(NamedTuple):
    """What the recordings hold, (n,) each; characters, and strings of them."""

    value: np.ndarray
    others: np.ndarray  # values of the other pairs
    lone: np.ndarray
    nearest: np.ndarray
    last_pair: np.ndarray
    last: np.ndarray
    seconds: float

    @property
    def paired(self) -> np.ndarray:
        """How many pairs there are."""
        return 1 + digits(self.others)

    @property
    def alone(self) -> np.ndarray:
        """How many digits are in none."""
        return digits(self.lone)


def digits(groups: np.ndarray) -> np.ndarray:
    """How many digits each group has; NO_DIGIT stands for none."""
    return np.array([len(group.replace(NO_DIGIT, "")) for group in groups])


def place(row: Mapping[str, str]) -> Place:
    return Place(
        hay=int(row["hay"]),
        temperature=float(row.get("temperature", 1.0)),
        filler=row["filler"],
        slot=row.get("slot", "cross"),
        split=row.get("split", "test"),
        top_k=int(row["top_k"]) if row.get("top_k") else None,
    )


def gather(runs: Sequence[Rows], where: str) -> dict[Place, Replies]:
    """The answers of an arm's seeds by place; `runs` are the rows of every seed's file.

    Raises UserError, with `where` the files are, if the seeds differ in what they were asked.
    """
    read = [{place(row): row for row in rows} for rows in runs]
    sizes = [{at: row["utterances"] for at, row in of_seed.items()} for of_seed in read]
    if any(size != sizes[0] for size in sizes):
        raise UserError(f"{where}: the seeds differ in what they were asked; run `dvc repro`")

    def characters(at: Place, column: str) -> np.ndarray:
        return np.array([list(of_seed[at][column]) for of_seed in read])

    return {
        at: Replies(
            right=characters(at, "right") == "1",
            bound=characters(at, "bound") == "1",
            nats=np.array([of_seed[at]["nats"].split() for of_seed in read], dtype=float),
            written=characters(at, "written"),
            forced=characters(at, "forced"),
            seconds=float(row.get("seconds") or math.nan),
        )
        for at, row in read[0].items()
    }


def asked(rows: Rows) -> dict[tuple[str, str, int], Asked]:
    """What asked.csv says, by split, filler and hay."""
    return {
        (row["split"], row["filler"], int(row["hay"])): Asked(
            value=np.array(list(row["value"])),
            others=np.array(row["others"].split()),
            lone=np.array(row["lone"].split()),
            **{name: np.array(list(row[name])) for name in ("nearest", "last_pair", "last")},
            seconds=float(row["seconds"]),
        )
        for row in rows
    }


def held(asked: Mapping[tuple[str, str, int], Asked], at: Place) -> Asked:
    """What the recordings hold that are heard there. Raises UserError if nobody has written it."""
    try:
        return asked[at.split, at.filler, at.hay]
    except KeyError:
        raise UserError(
            f"asked.csv: nothing of {at.hay} {at.filler} to be passed over; every size in "
            "measure.prune.words must be in measure.recall.words, too"
        ) from None


def kinds(given: np.ndarray, held: Asked) -> np.ndarray:
    """Of every answer (seeds, n) its place among KINDS."""
    n = given.shape[1]

    def among(groups: np.ndarray) -> np.ndarray:
        found = [
            [one in group for one, group in zip(row, groups[:n], strict=True)] for row in given
        ]
        return np.array(found) & (given != NO_DIGIT)

    conditions = [given == held.value[:n], among(held.others), among(held.lone), given != NO_DIGIT]
    return np.select(conditions, range(4), default=4)
