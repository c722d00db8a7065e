"""Metrics of attention rows by head, streamed: sums are kept, whatever number of rows they are of.

Shape alphabet as in sharpness.py.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from focused_attention.metrics.sharpness import (
    COLLAPSED,
    ONE_HOT,
    below,
    cover,
    entropy,
    first_mass,
    gini,
    hoyer,
    largest,
    mean_distance,
    normalise,
    over_log,
    participation,
    rank,
    sink_share,
    top_mass,
)

CHUNK = 2**23  # weights measured at a time: 64 MB in float64


@dataclass(slots=True)
class Moments:
    """Count, sum and sum of squares of metrics, per head, however many values are added."""

    sums: dict[str, Tensor] = field(default_factory=dict)  # by metric, (3, H) float64

    def add(self, metric: str, values: Tensor) -> None:
        """Add values (B, H, ...); NaN is not counted."""
        x = values.double().transpose(0, 1).flatten(1)  # (H, values)
        counted = ~x.isnan()
        x = x.where(counted, 0.0)
        sums = torch.stack([counted.sum(dim=1), x.sum(dim=1), x.square().sum(dim=1)])
        known = self.sums.setdefault(metric, torch.zeros_like(sums))
        if known.shape != sums.shape:
            raise ValueError(f"heads: expected {known.shape[1]} as before, given {sums.shape[1]}")
        known += sums

    def mean(self, metric: str) -> Tensor:
        """Mean of a metric, (H,); NaN where nothing was counted."""
        count, total, _ = self.sums[metric]
        return total / count

    def rows(self) -> list[dict]:
        """One dict a head and metric: {head, metric, mean, std, rows}, std of the population."""
        rows = []
        for metric, sums in self.sums.items():
            for head, (count, total, squares) in enumerate(sums.T.tolist()):
                mean = total / count if count else math.nan
                std = math.sqrt(max(0.0, squares / count - mean**2)) if count else math.nan
                row = {"head": head, "metric": metric, "mean": mean, "std": std}
                rows.append(row | {"rows": int(count)})
        return rows

    def heads_above(self, metric: str, threshold: float) -> list[int]:
        """Heads whose mean of a metric exceeds the threshold."""
        return (self.mean(metric) > threshold).nonzero().flatten().tolist()


@dataclass(kw_only=True, slots=True)
class Sharpness:
    """Metrics of one layer's attention rows, streamed batch by batch in O(H) memory.

    Every visible row of every utterance counts once, whatever the batches. `collapsed` is the share
    of rows of normalised entropy above 0.95; `sink_share` counts utterances in place of rows.

    >>> sharpness = Sharpness()
    >>> sharpness.update(torch.full((2, 1, 5, 8), 1 / 8))
    >>> row = sharpness.rows()[0]
    >>> row["metric"], row["head"], round(row["mean"], 4), row["rows"]  # log 8
    ('entropy', 0, 2.0794, 10)
    >>> sharpness.collapsed()
    [0]
    """

    k: int = 5  # of top_mass
    gamma: float = 0.9  # of cover
    eps: float = 1e-3  # of below
    self_attention: bool = False  # add mean_distance, in positions; the last query is the last key
    moments: Moments = field(default_factory=Moments, init=False, repr=False)

    @torch.no_grad()
    def update(
        self,
        weights: Tensor,  # (B, H, T, S)
        query_mask: Tensor | None = None,  # bool (B, T): False where the query is padding
        key_mask: Tensor | None = None,  # bool (B, S) or (B, T, S), causality included
    ) -> None:
        B, H, T, S = weights.shape
        if key_mask is None:
            key_mask = torch.ones(B, S, dtype=torch.bool, device=weights.device)
        visible = key_mask[:, None, None] if key_mask.ndim == 2 else key_mask[:, None]
        if query_mask is not None:
            visible = visible & query_mask[:, None, :, None]
        utterances = max(1, CHUNK // max(1, H * T * S))
        parts = weights.split(utterances), visible.expand(B, -1, -1, -1).split(utterances)
        for chunk in zip(*parts, strict=True):
            for metric, values in self._measure(*chunk).items():
                self.moments.add(metric, values)

    def _measure(self, weights: Tensor, visible: Tensor) -> dict[str, Tensor]:
        rows = normalise(weights, visible)
        placed = {
            "first_mass": first_mass(rows),
            "sink_share": sink_share(rows, visible),
        }
        if self.self_attention:
            T, S = weights.shape[-2:]
            keys = torch.arange(S, device=weights.device)
            placed["mean_distance"] = mean_distance(rows, queries=keys[S - T :], keys=keys)
        rows = rank(rows)
        nats = entropy(rows)
        relative = over_log(nats, rows.n)
        return {
            "entropy": nats,
            "normalised_entropy": relative,
            "collapsed": (relative > COLLAPSED).double().masked_fill(relative.isnan(), math.nan),
            "effective_support": nats.exp(),
            "participation": participation(rows),
            "gini": gini(rows),
            "hoyer": hoyer(rows),
            "largest": largest(rows),
            "top_mass": top_mass(rows, k=self.k),
            "cover": cover(rows, gamma=self.gamma),
            "below": below(rows, eps=self.eps),
            "below_uniform": below(rows),
        } | placed

    def rows(self) -> list[dict]:
        """One dict a head and metric: {head, metric, mean, std, rows}."""
        return self.moments.rows()

    def collapsed(self, threshold: float = COLLAPSED) -> list[int]:
        """Heads that are all but uniform: mean normalised entropy above the threshold."""
        return self.moments.heads_above("normalised_entropy", threshold)

    def one_hot(self, threshold: float = ONE_HOT) -> list[int]:
        """Heads that all but copy one key: mean largest weight above the threshold."""
        return self.moments.heads_above("largest", threshold)
