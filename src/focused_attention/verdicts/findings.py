"""What trained arms found, as tidy tables: pure functions of what the other stages wrote.

Shape alphabet: R resamples plus one, in front, that is the data; T temperatures; n utterances.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from focused_attention.errors import UserError
from focused_attention.metrics.counts import scores
from focused_attention.verdicts.statistics import bootstrap, intervals

Rows = Sequence[Mapping[str, str]]  # of a CSV file

TRANSITION = 0.5  # share of values right at which an arm has begun to recall
TRAINED = 0.9  # and at which it is trained

RATE = (
    "seeds", "utterances", "rate", "low", "high", "difference", "difference_low", "difference_high",
)  # fmt: skip
COLUMNS = {
    "accuracy": ("arm", "task", "needles", "hay", "seconds", "slot", "temperature", *RATE),
    "optimum": (
        "arm", "task", "needles", "hay", "seconds", "slot", "seeds", "utterances", "temperature",
        "low", "high", "rate", "gain", "gain_low", "gain_high",
    ),
    "entropy-length": (
        "arm", "slot", "metric", "temperature", "hay", "seconds", "seeds", "mean", "low", "high",
        "collapsed_heads", "one_hot_heads", "heads",
    ),
    "pruning": ("arm", "hay", "temperature", "slot", "int8", "top_k", *RATE),
    "learning": (
        "arm", "seed", "steps", "transition_step", "recall_first_word", "spot_first_word",
        "trained",
    ),
    "temperatures": ("arm", "seed", "slot", "layer", "head", "temperature", "slope"),
}  # fmt: skip


class Options(NamedTuple):
    """Of the bootstrap."""

    resamples: int
    confidence: float


class Cell(NamedTuple):
    """A setting at which every seed of an arm answered the same utterances."""

    task: str
    needles: int
    hay: int
    slot: str
    temperature: float
    split: str = "test"
    answers: str = "own"  # or another utterance's
    int8: bool = False
    top_k: int | None = None  # weights kept of each row


class Answers(NamedTuple):
    """Numerators and denominators of a rate, (seeds, n) each."""

    above: np.ndarray
    below: np.ndarray
    seconds: float  # mean length of the utterances; NaN where it was not written


def cell(row: Mapping[str, str]) -> Cell:
    """The setting of a row of sweep/ or prune/."""
    return Cell(
        task=row.get("task", "recall"),
        needles=int(row["needles"]),
        hay=int(row["hay"]),
        slot=row["slot"],
        temperature=float(row["temperature"]),
        split=row.get("split", "test"),
        answers=row.get("answers", "own"),
        int8=row.get("int8") == "True",
        top_k=int(row["top_k"]) if row.get("top_k") else None,
    )


def gather(runs: Sequence[Rows], where: str) -> dict[Cell, Answers]:
    """The answers of an arm's seeds by setting; `runs` are the rows of every seed's file.

    Raises UserError, with `where` the files are, if the seeds differ in settings or utterances.
    """
    read = [{cell(row): (scores(row), row) for row in rows} for rows in runs]
    shapes = [{place: len(found[0]) for place, (found, _) in seed.items()} for seed in read]
    if any(shape != shapes[0] for shape in shapes):
        raise UserError(f"{where}: the seeds differ in what they were asked; run `dvc repro`")
    return {
        place: Answers(
            np.stack([seed[place][0][0] for seed in read]),
            np.stack([seed[place][0][1] for seed in read]),
            float(row.get("seconds") or math.nan),
        )
        for place, (_, row) in read[0].items()
    }


class Line(NamedTuple):
    """Settings that differ in temperature alone, the nearest to 1 first."""

    place: Cell  # at temperature 1
    temperatures: np.ndarray  # (T,)
    above: np.ndarray  # (T, seeds, n)
    below: np.ndarray
    seconds: float


def lines(cells: Mapping[Cell, Answers]) -> Iterator[Line]:
    """Test utterances with their own answers, a temperature line at a time.

    Raises UserError where temperature 1, with which the others are compared, is missing.
    """
    groups: dict[Cell, dict[float, Answers]] = {}
    for place, answers in cells.items():
        if (place.split, place.answers) == ("test", "own"):
            line = groups.setdefault(place._replace(temperature=1.0), {})
            line[place.temperature] = answers
    for place, line in groups.items():
        if 1.0 not in line:
            raise UserError("params.yaml: temperatures: 1.0 must be among them")
        order = sorted(line, key=lambda t: (abs(math.log(t)), t))
        above, below = (np.stack([line[t][i] for t in order]) for i in range(2))
        yield Line(place, np.array(order), above, below, line[1.0].seconds)


def rated(line: Line, options: Options) -> Iterator[tuple[float, dict]]:
    """Every temperature in ascending order, with its rate and the difference from temperature 1."""
    draws = bootstrap(*line.above.shape[1:], options.resamples)
    drawn = draws.rates(line.above, line.below)  # (R, T)
    change = drawn - drawn[:, :1]
    ends = np.stack(
        [*intervals(drawn, options.confidence), *intervals(change, options.confidence)], axis=1
    )
    for i in np.argsort(line.temperatures):
        low, high, change_low, change_high = ends[i].tolist()
        yield (
            float(line.temperatures[i]),
            {"seeds": draws.seeds, "utterances": draws.n}
            | {"rate": float(drawn[0, i]), "low": low, "high": high}
            | {"difference": float(change[0, i])}
            | {"difference_low": change_low, "difference_high": change_high},
        )


def about(arm: str, line: Line) -> dict:
    """The first columns of a line's rows."""
    place = line.place
    return {
        "arm": arm, "task": place.task, "needles": place.needles, "hay": place.hay,
        "seconds": line.seconds, "slot": place.slot,
    }  # fmt: skip


def accuracy(arm: str, swept: Mapping[Cell, Answers], options: Options) -> list[dict]:
    """The rate in every setting, and its paired difference from temperature 1."""
    return [
        about(arm, line) | {"temperature": value} | row
        for line in lines(swept)
        for value, row in rated(line, options)
    ]


def pruning(arm: str, pruned: Mapping[Cell, Answers], options: Options) -> list[dict]:
    """The same for sparse and quantised attention: temperatures at the same sparsity."""
    return [
        {"arm": arm, "hay": line.place.hay, "temperature": value, "slot": line.place.slot}
        | {"int8": line.place.int8, "top_k": line.place.top_k or ""}
        | row
        for line in lines(pruned)
        for value, row in rated(line, options)
    ]


def optimum(arm: str, swept: Mapping[Cell, Answers], options: Options) -> list[dict]:
    """The best temperature at every size, and what it gains over temperature 1.

    Ties go to the temperature nearest 1, then to the sharper. The gain is cross-fitted: the
    temperature is chosen on every second utterance and measured on the others, and the other way
    round, so choosing does not inflate it. Every resample draws utterances within the whole, keeps
    each in its half, and chooses again.
    """
    rows = []
    for line in lines(swept):
        draws = bootstrap(*line.above.shape[1:], options.resamples)
        halves = [
            [draws.sums(counts, part=slice(first, None, 2)) for counts in (line.above, line.below)]
            for first in (0, 1)
        ]
        (above, below), (above_other, below_other) = halves
        drawn = (above + above_other) / (below + below_other)  # (R, T)
        best = line.temperatures[drawn.argmax(axis=1)]
        tail = (1 - options.confidence) / 2
        low, high = np.quantile(best[1:], [tail, 1 - tail], method="inverted_cdf")
        gain = (gained(*halves) + gained(*halves[::-1])) / 2
        gain_low, gain_high = intervals(gain, options.confidence)
        rows.append(
            about(arm, line)
            | {"seeds": draws.seeds, "utterances": draws.n}
            | {"temperature": float(best[0]), "low": float(low), "high": float(high)}
            | {"rate": float(drawn[0].max()), "gain": float(gain[0])}
            | {"gain_low": float(gain_low), "gain_high": float(gain_high)}
        )
    return rows


def gained(chosen: list[np.ndarray], measured: list[np.ndarray]) -> np.ndarray:
    """What the best temperature of one half gains over the first in the other, (R,)."""
    with np.errstate(invalid="ignore"):  # a resample may leave a half of few utterances empty
        best = np.nan_to_num(chosen[0] / chosen[1]).argmax(axis=1)
        rates = np.nan_to_num(measured[0] / measured[1])
    return rates[np.arange(len(rates)), best] - rates[:, 0]


def learning(arm: str, seed: int, steps: int, dev: Rows) -> dict:
    """When a run began to recall, and what it could do at its last dev measurement."""
    recall = [(int(r["step"]), float(r["first_word"])) for r in dev if r["task"] == "recall"]
    last = {row["task"]: float(row["first_word"]) for row in dev}
    transition = next((step for step, share in recall if share >= TRANSITION), "")
    return {
        "arm": arm, "seed": seed, "steps": steps, "transition_step": transition,
        "recall_first_word": last.get("recall", ""), "spot_first_word": last.get("spot", ""),
        "trained": last.get("recall", 0.0) >= TRAINED,
    }  # fmt: skip
