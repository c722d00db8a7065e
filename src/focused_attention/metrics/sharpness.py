"""How sharp attention rows are: entropy and its relatives, per row, and streamed per head.

Shape alphabet: B batch, T query length, S key length, H heads; n visible keys of a row.

A metric takes rows of weights (..., S) and `visible`, a bool mask broadcastable to them (True = the
query may attend to the key; None = to all), and returns one float64 value a row, (...). Keys that
are not visible, padding among them, do not exist for it. Weights are divided by the sum of their
absolute values, so half precision, unnormalised and signed weights are measured as distributions.
A row that sees nothing or is all zero has no sharpness: every metric is NaN there.

In place of the weights a metric also takes what `normalise` or `rank` made of them, without a mask,
so that several metrics share the division and the sort.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

COLLAPSED = 0.95  # normalised entropy above which a row is all but uniform
ONE_HOT = 0.99  # largest weight above which a row is all but a copy
SINK = 0.3  # column importance above which a key is a sink, as in the paper on sinks
ROUNDING = 1e-6  # relative slack of thresholds, above the error of float32 weights
CHUNK = 2**23  # weights measured at a time: 64 MB in float64


class Normalised(NamedTuple):
    """Rows as distributions."""

    p: Tensor  # (..., S) float64, sums to 1 over the visible keys, 0 elsewhere; NaN in empty rows
    n: Tensor  # visible keys, broadcastable to (...), float64


class Ranked(Normalised):
    """Distributions in descending order: the visible keys come first."""

    __slots__ = ()


def normalise(p: Tensor | Normalised, visible: Tensor | None = None) -> Normalised:
    """Divide rows (..., S) by their sum over the visible keys."""
    if isinstance(p, Normalised):
        return p
    S = p.shape[-1]
    a = p.abs().double()
    if visible is None:
        n = a.new_tensor(S)
    else:
        a = a.masked_fill_(~visible, 0.0)
        n = visible.expand(*visible.shape[:-1], S).sum(dim=-1).double()
    return Normalised(a.div_(a.sum(dim=-1, keepdim=True)), n)


def rank(p: Tensor | Normalised, visible: Tensor | None = None) -> Ranked:
    """Normalise rows (..., S) and sort each from its largest weight to its smallest."""
    if isinstance(p, Ranked):
        return p
    p, n = normalise(p, visible)
    return Ranked(p.sort(dim=-1, descending=True).values, n)


def entropy(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Shannon entropy H in nats, between 0 (one key) and log n (uniform); 0 log 0 = 0."""
    p, n = normalise(p, visible)
    return _within(torch.special.entr(p).sum(dim=-1), 0.0, n.log())


def normalised_entropy(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Entropy over its maximum, H / log n, in [0, 1]; NaN where n < 2."""
    rows = normalise(p, visible)
    return _over_log(entropy(rows), rows.n)


def effective_support(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Perplexity of the row, exp H: the keys of a uniform row of the same entropy, in [1, n]."""
    return entropy(p, visible).exp()


def participation(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Inverse participation ratio 1 / Σ p², in keys: 1 (one key) to n (uniform)."""
    p, n = normalise(p, visible)
    return _within(torch.linalg.vector_norm(p, dim=-1) ** -2, 1.0, n)


def gini(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Gini coefficient, divided by its maximum (n - 1) / n: 0 uniform, 1 one key; NaN where n < 2.

    With r the rank of a weight from the largest, G = (n + 1 - 2 Σ r p_(r)) / (n - 1).
    """
    p, n = rank(p, visible)
    mean_rank = p @ torch.arange(1.0, p.shape[-1] + 1, dtype=p.dtype, device=p.device)
    return _from_two_keys(((n + 1 - 2 * mean_rank) / (n - 1)).clamp(0.0, 1.0), n)


def hoyer(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Sparseness (√n - ‖p‖₁/‖p‖₂) / (√n - 1): 0 uniform, 1 one key; NaN where n < 2.

    Hoyer (2004), https://arxiv.org/abs/cs/0408058.
    """
    rows = normalise(p, visible)
    root = rows.n.sqrt()
    sparseness = (root - participation(rows).sqrt()) / (root - 1)
    return _from_two_keys(sparseness.clamp(0.0, 1.0), rows.n)


def largest(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """The largest weight of the row, in [1 / n, 1]."""
    return normalise(p, visible).p.amax(dim=-1)


def top_mass(p: Tensor | Normalised, visible: Tensor | None = None, *, k: int) -> Tensor:
    """Mass of the k largest weights; 1 where k >= n."""
    return rank(p, visible).p[..., :k].sum(dim=-1).clamp(max=1.0)


def cover(p: Tensor | Normalised, visible: Tensor | None = None, *, gamma: float = 0.9) -> Tensor:
    """The fewest keys that hold the mass gamma, up to a relative `ROUNDING`.

    As `score_cover_topk` of FlexPrefill counts them, https://arxiv.org/abs/2502.20766.
    """
    p, _ = rank(p, visible)
    short = p.cumsum(dim=-1) < gamma * (1 - ROUNDING)
    return (short.sum(dim=-1) + 1.0).double().masked_fill(p[..., 0].isnan(), math.nan)


def below(
    p: Tensor | Normalised, visible: Tensor | None = None, *, eps: float | None = None
) -> Tensor:
    """Share of the visible keys whose weight is below eps; None: below the uniform weight 1 / n.

    A weight within a relative `ROUNDING` of eps is not below it: a uniform row has none below 1/n.
    """
    p, n = normalise(p, visible)
    limit = (1 / n)[..., None] if eps is None else eps
    others = (p >= limit * (1 - ROUNDING)).sum(dim=-1)
    return ((n - others).clamp(min=0.0) / n).masked_fill(p[..., 0].isnan(), math.nan)


def first_mass(p: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Weight of key 0, where autoregressive models put their sink; 0 where it is not visible."""
    return _positional(p, visible).p[..., 0]


def mean_distance(
    p: Tensor | Normalised, visible: Tensor | None = None, *, queries: Tensor, keys: Tensor
) -> Tensor:
    """Mean distance Σ_j p_ij |i - j| in self-attention, in the unit of the positions given.

    Rows (..., T, S), positions of the queries (..., T) and of the keys (..., S).
    """
    distance = (queries[..., :, None] - keys[..., None, :]).abs()  # (..., T, S)
    return (_positional(p, visible).p * distance).sum(dim=-1)


def jsd(p: Tensor | Normalised, q: Tensor | Normalised, visible: Tensor | None = None) -> Tensor:
    """Jensen-Shannon distance √(½ KL(p‖m) + ½ KL(q‖m)), m = (p + q) / 2, in [0, √log 2].

    The root of the divergence in nats, a metric; `visible` holds for both rows.
    """
    p, q = _positional(p, visible), _positional(q, visible)
    mixture = Normalised((p.p + q.p) / 2, p.n)
    divergence = entropy(mixture) - (entropy(p) + entropy(q)) / 2
    return divergence.clamp(0.0, math.log(2)).sqrt()


def head_jsd(weights: Tensor, visible: Tensor | None = None) -> Tensor:
    """Jensen-Shannon distance between every two heads, (H, H): a mean over items and queries.

    weights (B, H, T, S), visible broadcastable to (B, 1, T, S).
    """
    p, n = normalise(weights, visible)
    to_head = [jsd(Normalised(p, n), Normalised(p[:, [h]], n)) for h in range(p.shape[1])]
    return torch.stack(to_head).nanmean(dim=(1, 3))


def column_importance(weights: Tensor, visible: Tensor | None = None) -> Tensor:
    """Mean weight that key k is given by the queries that see it, α_k: (B, H, S), NaN if none do.

    weights (B, H, T, S), visible broadcastable to (B, 1, T, S) and False for padded queries. Causal
    rows give α_k = Σ_{i≥k} A_ik / (T - k + 1) of "When Attention Sink Emerges in Language Models",
    https://arxiv.org/abs/2410.10781; there the last keys are judged by few queries.
    """
    p, _ = normalise(weights, visible)
    *_, T, S = p.shape
    if visible is None:
        return p.nansum(dim=-2) / T
    return p.nansum(dim=-2) / visible.expand(*visible.shape[:-2], T, S).sum(dim=-2)


def sink_share(
    weights: Tensor, visible: Tensor | None = None, *, threshold: float = SINK
) -> Tensor:
    """Share of the keys whose column importance exceeds the threshold: (B, H).

    Arguments as for `column_importance`. The source fixes the key and counts heads. A head has few
    sinks whatever the length, so compare this share at one length only.
    """
    importance = column_importance(weights, visible)
    sinks = (importance > threshold).double().masked_fill(importance.isnan(), math.nan)
    return sinks.nanmean(dim=-1)


def _positional(p: Tensor | Normalised, visible: Tensor | None) -> Normalised:
    if isinstance(p, Ranked):
        raise TypeError("ranked rows have lost the positions of their keys")
    return normalise(p, visible)


def _within(x: Tensor, low: float, high: Tensor) -> Tensor:
    """Undo rounding beyond the bounds; NaN stays NaN."""
    return x.clamp(min=low).minimum(high)


def _from_two_keys(x: Tensor, n: Tensor) -> Tensor:
    return x.masked_fill(n < 2, math.nan)


def _over_log(nats: Tensor, n: Tensor) -> Tensor:
    return _from_two_keys(nats / n.log(), n)


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
        relative = _over_log(nats, rows.n)
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
