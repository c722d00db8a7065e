"""How far the times of words are off, and which sharpness tells them best.

Errors are in ms, negative where a time is too early. Intervals are over strings and, independently,
over words, which strings share: an error counts as often as its string is drawn, times how often
its word is (the pigeonhole bootstrap, Owen 2007, https://doi.org/10.1214/07-AOAS122). Shape
alphabet: N words, R resamples plus one, in front, that is the data as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from focused_attention.verdicts.statistics import (
    Difference,
    difference,
    intervals,
    resampled_weights,
)

CLOSE = 50.0  # ms
MARGIN = 5.0  # ms: a difference of medians that matters
ALPHA = 0.05
KINDS = ("start", "end", "both")

Setting = tuple[str, str, float, float]  # split, heads, qk_scale, temperature


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """Errors of every word of one split in one setting; NaN where there is nothing to err in."""

    start: np.ndarray  # (N,)
    end: np.ndarray  # (N,)
    string: np.ndarray  # (N,) number of the word's string
    word: np.ndarray  # (N,) number of the word, whatever its recording
    length: np.ndarray  # (N,) seconds of its string

    def of(self, kind: str) -> np.ndarray:
        """Errors of starts, ends or, (2 N,), both."""
        if kind == "both":
            return np.concatenate([self.start, self.end])
        return self.start if kind == "start" else self.end

    def only(self, length: float) -> "Errors":
        """Those of the strings of one length."""
        kept = self.length == length
        return Errors(**{name: getattr(self, name)[kept] for name in self.__slots__})


def read(rows: Sequence[Mapping], strings: Sequence[Mapping]) -> dict[Setting, Errors]:
    """Errors by setting, of all lengths, from the tables of stage `word_times`.

    A string's first start is left out: every way through a picture begins in its corner, so it is
    told right whatever was heard.

    Raises ValueError where the two tables do not belong together.
    """
    known: dict[tuple[str, float], list[list[str]]] = {}
    for row in strings:
        of = row["split"], float(row["length"])
        known.setdefault(of, []).append(row["words"].lower().split())
    vocabulary = sorted({word for each in known.values() for said in each for word in said})
    place = {word: i for i, word in enumerate(vocabulary)}
    parts: dict[Setting, list[Errors]] = {}
    counted: dict[Setting, int] = {}
    for row in rows:
        length = float(row["length"])
        said = known.get((row["split"], length), [])
        start, end = (np.array(row[name].split(), float) for name in ("starts", "ends"))
        sizes = [len(words) for words in said]
        if not len(start) == len(end) == sum(sizes):
            raise ValueError(
                f"word_times: {len(start)} starts and {len(end)} ends for {sum(sizes)} words of "
                f"{row['split']}, {length:g} s; run the stage again"
            )
        start[np.cumsum([0, *sizes[:-1]])] = np.nan
        key = row["split"], row["heads"], float(row["qk_scale"]), float(row["temperature"])
        number = np.repeat(np.arange(len(sizes)), sizes) + counted.get(key, 0)
        counted[key] = counted.get(key, 0) + len(sizes)
        parts.setdefault(key, []).append(
            Errors(
                start=start,
                end=end,
                string=number,
                word=np.array([place[word] for words in said for word in words]),
                length=np.full(len(start), length),
            )
        )
    return {
        key: Errors(
            **{name: np.concatenate([getattr(p, name) for p in each]) for name in Errors.__slots__}
        )
        for key, each in parts.items()
    }


def touching(strings: Sequence[Mapping], like: Errors) -> Errors:
    """What a recipe whose words touch errs if it puts every boundary in the middle of the gap.

    Its starts and ends add up to the gaps, and so do those of every other such recipe: an end less
    the next start is the gap, wherever the boundary lies. `strings` are those of `like`.
    """
    start, end = [], []
    for row in strings:
        begun, done = (np.array(row[name].split(), float) for name in ("starts", "ends"))
        half = (begun[1:] - done[:-1]) / 2
        start.append(np.concatenate([[np.nan], -half]))
        end.append(np.concatenate([half, [np.nan]]))
    return replace(like, start=np.concatenate(start), end=np.concatenate(end))


def draws(errors: Errors, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each word counts in every resample: (R, N)."""
    drawn = resampled_weights(int(errors.string.max()) + 1, resamples, seed)[:, errors.string]
    names, place = np.unique(errors.word, return_inverse=True)
    drawn *= resampled_weights(len(names), resamples, seed + 1)[:, place]
    return np.concatenate([np.ones((1, drawn.shape[1]), drawn.dtype), drawn])


def quantiles(values: np.ndarray, weights: np.ndarray, *shares: float) -> list[np.ndarray]:
    """Quantiles of `values` (n,) in every resample of weights (R, n), whole numbers: (R,) each.

    Values count as often as their weight; between two values lies their mean, as in a median.

    >>> quantiles(np.array([3.0, 1.0, 2.0]), np.array([[1, 1, 1], [2, 0, 0], [1, 1, 0]]), 0.5)
    [array([2., 3., 2.])]
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    below = np.cumsum(np.take(weights, order, axis=1), axis=1)
    found = []
    for share in shares:
        goals = share * below[:, -1]
        sides = [
            np.array(
                [np.searchsorted(row, goal, side) for row, goal in zip(below, goals, strict=True)]
            )
            for side in ("left", "right")
        ]
        found.append(ordered[np.stack(sides)].mean(axis=0))
    return found


def counted(errors: Errors, weights: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The errors of a kind that there are, (n,), and how often each counts, (R, n)."""
    values = errors.of(kind)
    there = ~np.isnan(values)
    weights = np.concatenate([weights, weights], axis=1) if kind == "both" else weights
    return values[there], weights[:, there]


def statistics(errors: Errors, weights: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    """Median and 90th percentile of the size of errors, share within CLOSE, median error: (R,)."""
    values, times = counted(errors, weights, kind)
    size = np.abs(values)
    median, p90 = quantiles(size, times, 0.5, 0.9)
    (bias,) = quantiles(values, times, 0.5)
    close = times[:, size <= CLOSE].sum(axis=1) / times.sum(axis=1)
    return {"median": median, "p90": p90, "close": close, "bias": bias}


def corrected(errors: Errors, dev: Errors) -> Errors:
    """Errors less the median error of starts and of ends on dev: what a constant cannot mend."""
    return replace(
        errors,
        start=errors.start - np.nanmedian(dev.start),
        end=errors.end - np.nanmedian(dev.end),
    )


def summary(
    found: Mapping[Setting, Errors], *, resamples: int, confidence: float, seed: int = 0
) -> list[dict]:
    """A row for every setting of test, kind and whether the bias of dev is taken away.

    The bias is taken as it is: its own uncertainty is in no interval.
    """
    rows, weights = [], None
    for (split, heads, qk_scale, temperature), errors in found.items():
        if split != "test":
            continue
        weights = draws(errors, resamples, seed) if weights is None else weights
        dev = found.get(("dev", heads, qk_scale, temperature))
        sides = {"no": errors} | ({"yes": corrected(errors, dev)} if dev is not None else {})
        for unbiased, these in sides.items():
            for kind in KINDS:
                row = {"heads": heads, "qk_scale": qk_scale, "temperature": temperature}
                row |= {
                    "corrected": unbiased,
                    "kind": kind,
                    "n": len(counted(these, weights, kind)[0]),
                }
                for name, drawn in statistics(these, weights, kind).items():
                    low, high = intervals(drawn, confidence)
                    row |= {
                        name: float(drawn[0]),
                        f"{name}_low": float(low),
                        f"{name}_high": float(high),
                    }
                rows.append(row)
    return rows


def compared(
    ours: Errors, baseline: Errors, *, resamples: int, confidence: float, seed: int = 0
) -> Difference:
    """Median size of our errors, starts and ends pooled, less the baseline's on the same words.

    Raises ValueError where the words are not the same.
    """
    if not (
        np.array_equal(ours.string, baseline.string) and np.array_equal(ours.word, baseline.word)
    ):
        raise ValueError("word_times: compared errors are of other words; run the stage again")
    weights = draws(ours, resamples, seed)
    medians = []
    for side in (ours, baseline):
        values, times = counted(side, weights, "both")
        medians += quantiles(np.abs(values), times, 0.5)
    drawn = medians[0] - medians[1]
    return difference(drawn, drawn, confidence)


def decide(found: Difference, p_holm: float, margin: float = MARGIN) -> tuple[str, str]:
    """The verdict on a difference of which neither side is claimed, and its reason.

    >>> decide(Difference(-8.0, -12.0, -3.0, 0.001, 1.0), 0.005)[0]
    'less'
    >>> decide(Difference(-2.0, -4.0, 1.0, 0.2, 1.0), 0.2)[0]
    'equivalent'
    """
    if -margin < found.low and found.high < margin:
        return "equivalent", "The interval lies within the margin on both sides."
    clear = p_holm < ALPHA and abs(found.estimate) >= margin
    if clear and found.high < 0:
        return "less", "The interval lies below zero and the effect reaches the margin."
    if clear and found.low > 0:
        return "more", "The interval lies above zero and the effect reaches the margin."
    return "undecided", "The interval holds differences that matter and others that do not."
