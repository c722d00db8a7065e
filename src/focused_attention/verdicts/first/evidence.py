"""What claims and checks are judged by: everything that the other stages measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from focused_attention.verdicts.findings import TRAINED, Answers, Cell, Rows
from focused_attention.verdicts.first.study import Study

SHARP = 0.71  # the temperature that the plan compares with 1


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is judged, by arm."""

    study: Study
    learning: Sequence[Mapping]  # rows of findings.learning
    swept: Mapping[str, Mapping[Cell, Answers]]
    spotted: Mapping[str, Sequence[Mapping]]  # rows of spotting
    pruned: Mapping[str, Mapping[Cell, Answers]]
    entropies: Mapping[str, Sequence[Rows]]  # of every seed
    guessed: Mapping[str, Sequence[Rows]]  # of every seed
    asked: Rows  # asked.csv
    wer: Rows  # tables/wer.csv
    pairs: Rows  # tables/pairs.csv
    arms: Rows  # tables/arms.csv
    timings: Sequence[Mapping]  # of benchmark-attention.json

    def untrained(self, *names: str) -> list[str]:
        """The arms of `names` whose seeds, on average, did not learn to recall: the plan's gate."""
        recalled: dict[str, list[float]] = {}
        for row in self.learning:
            recalled.setdefault(row["arm"], []).append(row["recall_first_word"] or 0.0)
        passed = {arm for arm, shares in recalled.items() if fmean(shares) >= TRAINED}
        return [name for name in names if name not in passed]


class NotComparedError(Exception):
    """Why a comparison cannot be made."""


class UnjudgedError(NotComparedError):
    """Arms did not learn, or a check failed: the comparison can be shown, but decides nothing."""


def asked(cells: Mapping[str, Mapping[Cell, Answers]], arm: str, place: Cell) -> Answers:
    """Raises NotComparedError if the arm was not asked there."""
    if arm not in cells:
        raise NotComparedError(f"this profile does not measure {arm} here")
    if place not in cells[arm]:
        where = f"{place.task}, {place.hay} to pass over, temperature {place.temperature:g}"
        raise NotComparedError(f"this profile does not measure {arm} at {where}")
    return cells[arm][place]


def longest(evidence: Evidence, task: str, temperature: float = 1.0, **changes) -> Cell:
    """Cross-attention at the longest size of a task."""
    sweep = evidence.study.sweep
    needles, sizes = (
        (sweep.pairs, sweep.words) if task == "recall" else (sweep.digits, sweep.prompts)
    )
    return Cell(task, needles, max(sizes), "cross", temperature, **changes)
