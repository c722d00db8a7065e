"""How sharp heads are, as tidy tables."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from focused_attention.metrics.sharpness import COLLAPSED, ONE_HOT
from focused_attention.verdicts.findings import Options, Rows
from focused_attention.verdicts.statistics import bootstrap, intervals


class Heads(NamedTuple):
    """A metric's mean over a slot's heads in one setting, by seed."""

    mean: np.ndarray  # (seeds,)
    error: np.ndarray  # its standard error, (seeds,)
    each: np.ndarray  # (seeds, heads)
    seconds: float


def heads(runs: Sequence[Rows], utterances: int) -> dict[tuple[str, str, float, int], Heads]:
    """By slot, metric, temperature and hay, from the rows of every seed's file.

    Rows of one utterance are alike, and so are heads that saw the same utterances. The error is
    therefore never too small: std / √`utterances` (√rows where they are fewer), averaged over the
    heads as if they erred together.
    """
    found: dict[tuple, list[list[tuple[float, float]]]] = {}
    lengths = {}
    for i, rows in enumerate(runs):
        for row in rows:
            place = row["slot"], row["metric"], float(row["temperature"]), int(row["hay"])
            seeds = found.setdefault(place, [[] for _ in runs])
            counted = min(int(row["rows"]), utterances)
            error = float(row["std"]) / math.sqrt(counted) if counted else math.nan
            seeds[i].append((float(row["mean"]), error))
            lengths[place] = float(row["seconds"])
    collected = {}
    for place, seeds in found.items():
        values = np.array(seeds)  # (seeds, heads, 2)
        known = ~np.isnan(values).any(axis=(0, 2))
        if known.any():
            mean, error = values[:, known].mean(axis=1).T
            collected[place] = Heads(mean, error, values[:, :, 0], lengths[place])
    return collected


def drawn_mean(mean: np.ndarray, error: np.ndarray, options: Options, *, seeds: bool = True):
    """Resamples (R,) of a mean over seeds: seeds drawn, utterances' error normal and shared."""
    draws = bootstrap(len(mean), 1, options.resamples).by_seed
    noise = np.random.default_rng(2).standard_normal(len(draws)) * error.mean()
    noise[0] = 0.0
    return (draws @ mean / len(mean) if seeds else mean.mean()) + noise


def entropy_length(arm: str, runs: Sequence[Rows], utterances: int, options: Options) -> list[dict]:
    """Every metric's mean over layers, heads and seeds against length, see `heads`.

    Its interval is a parametric bootstrap: seeds are drawn, and a normal error is added. Counted
    over all seeds are heads of mean normalised entropy above `COLLAPSED`, and of mean largest
    weight above `ONE_HOT`.
    """
    found = heads(runs, utterances)
    rows = []
    for (slot, metric, value, hay), measured in found.items():
        low, high = intervals(
            drawn_mean(measured.mean, measured.error, options), options.confidence
        )
        above = {
            name: int((found[slot, other, value, hay].each > limit).sum())
            if (slot, other, value, hay) in found
            else ""
            for name, other, limit in (
                ("collapsed_heads", "normalised_entropy", COLLAPSED),
                ("one_hot_heads", "largest", ONE_HOT),
            )
        }
        rows.append(
            {"arm": arm, "slot": slot, "metric": metric, "temperature": value, "hay": hay}
            | {"seconds": measured.seconds, "seeds": len(measured.mean)}
            | {"mean": float(measured.mean.mean()), "low": float(low), "high": float(high)}
            | above
            | {"heads": measured.each.size}
        )
    return rows


def entropy_range(entropies: Mapping[str, Sequence[Rows]]) -> tuple[float, float] | None:
    """The least and the largest entropy over its maximum of any head; None if none was measured."""
    values = [
        float(row["mean"])
        for runs in entropies.values()
        for rows in runs
        for row in rows
        if row["metric"] == "normalised_entropy"
    ]
    return (float(np.nanmin(values)), float(np.nanmax(values))) if values else None
