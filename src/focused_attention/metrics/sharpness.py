"""How sharp attention rows are: entropy and its relatives, a value a row.

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
from typing import NamedTuple

import torch
from torch import Tensor

COLLAPSED = 0.95  # normalised entropy above which a row is all but uniform
ONE_HOT = 0.99  # largest weight above which a row is all but a copy
SINK = 0.3  # column importance above which a key is a sink, as in the paper on sinks
ROUNDING = 1e-6  # relative slack of thresholds, above the error of float32 weights


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
    return over_log(entropy(rows), rows.n)


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


def over_log(nats: Tensor, n: Tensor) -> Tensor:
    """Entropies (...) over their maximum, log n."""
    return _from_two_keys(nats / n.log(), n)
