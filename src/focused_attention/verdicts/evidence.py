"""What claims and checks are judged by: everything that the other stages measured."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from focused_attention.params import Params
from focused_attention.verdicts.findings import Options, Rows
from focused_attention.verdicts.heads import Heads, heads
from focused_attention.verdicts.replies import Asked, Place, Replies, place

T = TypeVar("T")

PLAIN = "echo"  # trained on recordings of up to 13 seconds
LONG = "echo-long"  # and then of up to a minute
SHARP = 0.71  # the temperature that is compared with 1


class NotComparedError(Exception):
    """Why a comparison cannot be made."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is judged, by arm."""

    params: Params
    seeds: Mapping[str, Sequence[int]]
    learning: Sequence[Mapping]  # rows of the table
    recalled: Mapping[str, Mapping[Place, Replies]]
    pruned: Mapping[str, Mapping[Place, Replies]]
    spotted: Mapping[str, Mapping[tuple[int, float], tuple[np.ndarray, np.ndarray]]]
    entropies: Mapping[str, Sequence[Rows]]  # of every seed
    uniformity: Mapping[str, Mapping[Place, np.ndarray]]  # in recordings, see below
    asked: Mapping[tuple[str, str, int], Asked]
    wer: Rows  # tables/wer.csv
    pairs: Rows  # tables/pairs.csv
    arms: Rows  # tables/arms.csv
    varied: Rows = ()  # tables/variants.csv
    timings: Sequence[Mapping]  # of benchmark-attention.json

    @property
    def options(self) -> Options:
        return Options(self.params.collect.resamples, self.params.collect.confidence)

    def among_learned(self, *arms: str) -> "Evidence":
        """The same of those seeds alone of which every one of these arms learned to recall.

        Raises NotComparedError if that is not one, or if the arms do not share their seeds.
        """
        of = [self.seeds.get(arm, ()) for arm in arms]
        learned = {(row["arm"], row["seed"]) for row in self.learning if row["learned"]}
        kept = [
            place for place, seed in enumerate(of[0])
            if all((arm, seed) in learned for arm in arms)
        ]  # fmt: skip
        if not kept or any(tuple(other) != tuple(of[0]) for other in of):
            raise NotComparedError("no seed of which all arms learned to recall")

        def some(cells: Mapping[str, Mapping[Place, Replies]]) -> dict:
            return {
                arm: {place: replies.of_seeds(kept) for place, replies in cells[arm].items()}
                for arm in arms
                if arm in cells
            }

        return dataclasses.replace(
            self,
            seeds={arm: [of[0][place] for place in kept] for arm in arms},
            recalled=some(self.recalled),
            pruned=some(self.pruned),
            spotted={
                arm: {at: tuple(x[kept] for x in sides) for at, sides in self.spotted[arm].items()}
                for arm in arms
                if arm in self.spotted
            },
            entropies={
                arm: [self.entropies[arm][place] for place in kept]
                for arm in arms
                if arm in self.entropies
            },
            uniformity={
                arm: {at: of_seeds[kept] for at, of_seeds in self.uniformity[arm].items()}
                for arm in arms
                if arm in self.uniformity
            },
        )

    @property
    def longest(self) -> Place:
        """The most words to be passed over, with cross-attention as it was trained."""
        return Place(hay=max(self.params.recall.words))

    def heads(self, arm: str, filler: str = "words") -> dict[tuple[str, str, float, int], Heads]:
        """How sharp an arm's heads are. Raises NotComparedError if it was not measured."""
        if arm not in self.entropies:
            raise NotComparedError(f"this profile does not train or measure {arm}")
        of_filler = [
            [row for row in rows if row["filler"] == filler] for rows in self.entropies[arm]
        ]
        return heads(of_filler, self.params.entropy.utterances)


def numbered(cells: Mapping[str, Mapping], arm: str, place) -> T:
    """Raises NotComparedError if the arm was not asked there."""
    if arm not in cells:
        raise NotComparedError(f"this profile does not train or measure {arm}")
    if place not in cells[arm]:
        raise NotComparedError(f"this profile does not measure {arm} at {place}")
    return cells[arm][place]


def replied(cells: Mapping[str, Mapping[Place, Replies]], arm: str, place: Place) -> Replies:
    """An arm's answers at a place; see `numbered`."""
    return numbered(cells, arm, place)


def uniformity(runs: Sequence[Rows]) -> dict[Place, np.ndarray]:
    """Cross-attention's entropy over log n in every recording, (seeds, n), from every seed's file.

    Of a seed and a recording it is the mean over heads and rows: what differs between them within a
    recording is no chance that other recordings would bring.
    """
    found: dict[Place, list[np.ndarray]] = {}
    for rows in runs:
        for row in rows:
            each = np.array(row["normalised_entropy"].split(), dtype=float)
            found.setdefault(place(row), []).append(each)
    return {at: np.stack(seeds) for at, seeds in found.items()}
