"""Arms that go on from one arm's weights, against the one of them in which nothing is changed.

Differences are of word error rates, on the same utterances and with the same seeds. Those of all
changed arms are one family of comparisons.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from focused_attention.verdicts.statistics import MARGIN, bootstrap, difference, holm, intervals

COLUMNS = (
    "arm", "mechanism", "family", "slot", "parameters", "new", "seeds", "utterances", "words_wer",
    "digits_wer", "difference", "low", "high", "p", "p_holm", "shrunken", "equivalent", "entropy",
    "entropy_low", "entropy_high", "support", "multiplications_140", "multiplications_1500", "note",
)  # fmt: skip


class Written(NamedTuple):
    """How an arm wrote the utterances of a task."""

    errors: np.ndarray  # (seeds, n)
    words: np.ndarray  # (n,), of the references

    @property
    def rate(self) -> float:
        return float(self.errors.mean(axis=0).sum() / self.words.sum())


def about(resolved: Mapping, parameters: int, base: int) -> dict[str, str | int | float]:
    """What an arm is: the mechanisms by which it differs from its start, their folders and slots.

    `new` is the share of its parameters that is more than its start has, below zero if it has less.
    """
    slots = resolved["slots"]
    before = resolved.get("start", resolved)["slots"]
    changed = {slot: of["mechanism"] for slot, of in slots.items() if of != before.get(slot)}
    names = dict.fromkeys(changed.values())
    rooms = {file.rpartition("/")[2]: file.partition("/")[0] for file in resolved["sources"]}
    return {
        "arm": resolved["arm"],
        "mechanism": " ".join(names),
        "family": " ".join(dict.fromkeys(rooms[f"{name}.py"] for name in names)),
        "slot": " ".join(changed),
        "parameters": parameters,
        "new": (parameters - base) / parameters,
    }


def sharpness(
    entropy: np.ndarray, support: np.ndarray, *, resamples: int, confidence: float
) -> dict[str, float]:
    """How sharp an arm attends, from a value a recording (seeds, n): of both the mean."""
    drawn = bootstrap(*entropy.shape, resamples).rates(entropy, np.ones(entropy.shape))
    low, high = intervals(drawn, confidence)
    told = {"entropy": float(drawn[0]), "entropy_low": float(low), "entropy_high": float(high)}
    return told | {"support": float(support.mean())}


def table(
    arms: Sequence[Mapping],
    start: str,
    control: str,
    words: Mapping[str, Written],
    digits: Mapping[str, Written],
    *,
    resamples: int,
    confidence: float,
) -> list[dict]:
    """A row of COLUMNS for every one of `arms`, of which `about` tells, and `sharpness`.

    What is compared are strings of words. `start`, with fewer steps, stands beside the family.
    """
    names = list(words)
    drawn, fixed = (changes(words, control, resamples, seeds) for seeds in (True, False))
    found = {
        name: difference(*both, confidence)
        for name, *both in zip(names, drawn.T, fixed.T, strict=True)
        if name != control
    }
    family = [name for name in found if name != start]
    p = holm({name: found[name].p for name in family}) if family else {}
    shrunken = together(drawn[:, [names.index(name) for name in family]])
    rows = []
    for one in arms:
        name = one["arm"]
        seeds, n = words[name].errors.shape
        row = dict.fromkeys(COLUMNS, "") | one | {"seeds": seeds, "utterances": n}
        row |= {"words_wer": words[name].rate, "digits_wer": digits[name].rate}
        if name in found:
            of = found[name]
            row |= {"difference": of.estimate, "low": of.low, "high": of.high, "p": of.p}
            row |= {"equivalent": of.low > -MARGIN and of.high < MARGIN}
        if name in family:
            row |= {"p_holm": p[name], "shrunken": float(shrunken[family.index(name)])}
        rows.append(row)
    return rows


def changes(words: Mapping[str, Written], control: str, resamples: int, seeds: bool) -> np.ndarray:
    """The word error rate of every arm less the control's in every resample, (R, k).

    The first resample is the data; without `seeds`, utterances alone are drawn.
    """
    errors = np.stack([of.errors for of in words.values()])  # (k, seeds, n)
    spoken = np.broadcast_to(words[control].words, errors.shape)
    draws = bootstrap(*errors.shape[1:], resamples)
    rates = draws.rates(errors, spoken, seeds=seeds)
    return rates - rates[:, [list(words).index(control)]]


def together(drawn: np.ndarray) -> np.ndarray:
    """The shrunken differences of all arms (k,) from those in the resamples (R, k).

    The chance of an arm is that of its distance from the mean of all: what they share, that of the
    control above all, moves every difference alike and tells nothing apart.
    """
    k = drawn.shape[1]
    if k < 2:
        return drawn[0]
    apart = (drawn - drawn.mean(axis=1, keepdims=True))[1:]
    return shrink(drawn[0], apart.var(axis=0) * k / (k - 1))


def shrink(estimates: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Estimates (k,) with independent chance of known variances, drawn towards their mean.

    Normal-normal empirical Bayes: y_i | θ_i ~ N(θ_i, s_i²), θ_i ~ N(μ, τ²), whose posterior means
    are μ + (y_i - μ) τ² / (τ² + s_i²). τ² is the method of moments' and μ the mean weighed by
    1 / (τ² + s_i²), as DerSimonian & Laird (1986), https://doi.org/10.1016/0197-2456(86)90046-2,
    have them. One without variance is left as it is, and tells nothing of the others.

    >>> shrink(np.array([0.0, 0.3, 0.6]), np.array([0.03, 0.03, 0.03])).round(3).tolist()
    [0.1, 0.3, 0.5]
    """
    told = variances > 0
    if told.sum() < 2:
        return estimates
    y, s2 = estimates[told], variances[told]
    w = 1 / s2
    q = (w * (y - (w @ y) / w.sum()) ** 2).sum()  # Cochran's
    tau2 = max(0.0, (q - (len(y) - 1)) / (w.sum() - (w @ w) / w.sum()))
    w = 1 / (s2 + tau2)
    mean = (w @ y) / w.sum()
    found = estimates.copy()
    found[told] = mean + (y - mean) * tau2 * w
    return found
