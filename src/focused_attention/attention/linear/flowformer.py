"""Linear attention in which keys compete for what queries can give out."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from focused_attention.attention.base import AttentionOutput
from focused_attention.attention.kernels import SumState
from focused_attention.attention.linear._sums import SumAttention

EPS = 1e-6  # is added to both sides of every product of flows
BOUND = 1.0  # of what a source keeps, before its exponential is taken


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


@dataclass
class FlowState(SumState):
    flows: Tensor | None = field(default=None, repr=False)  # (B, H, 1, 4 K + 2), all that is summed


class FlowformerAttention(SumAttention):
    """σ(Î) ⊙ (φ(q) / I) Σ_j φ(k_j)ᵀ (n softmax(Ô))_j v_j, with φ the sigmoid.

    Flowformer, https://arxiv.org/abs/2202.06258, as in thuml/Flowformer `Flow_Attention.py`. A
    query takes in I = φ(q) · Σ φ(k), a key gives out O = φ(k) · Σ φ(q). With these flows conserved,
    Î = φ(q) · Σ φ(k)/O allocates among queries, and Ô = φ(k) · Σ φ(q)/I, cut at ±1, lets keys
    compete. When causal, sums run up to a position, flows are means over its n keys, and a key
    competes with those before it alone, by n exp(Ô_j) / Σ_{l ≤ j} exp(Ô_l): so it can be streamed,
    unlike the softmax over all keys. Ô is 1 on average, where the cut is.

    Deviation: padding is no source and no sink; the source has no masks. Cross-attention, which it
    has, is refused: a query's output depends on all queries, and so in a decoder on text to come.

    Cost: B H T (2 K² + 4 K) multiplications, when causal B H T 64 · 2 K more; 4 B H T (64 + 4 K +
    K² / 64) bytes when causal, else 4 B H K²; decoding, 4 B H (K² + 4 K + 2) bytes.

    >>> layer = FlowformerAttention(Config(), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    >>> alone = layer(torch.zeros(1, 1, 32), need_weights=True).weights  # σ(1) of itself
    >>> alone.round(decimals=4).unique().tolist()
    [0.7311000227928162]
    """

    cross = False
    pairwise = False
    memory = FlowState
    neutral = "sigmoid features and a competition of whole columns are no softmax of rows"

    def combine(self, q, k, v, view):
        q, k = (x.to(torch.promote_types(x.dtype, torch.float32)).sigmoid() for x in (q, k))
        if view.mask is None:
            seen = torch.ones_like(k[:1, :1, :, :1])
        else:
            seen = view.mask[:, None, :, None].to(k.dtype)
        seen = seen.expand(*k.shape[:3], 1)
        q, k = streamed(q, k, seen, view.state) if view.causal else conserved(q, k, seen)
        return AttentionOutput(*self.attend(q, k, v, view))


def conserved(q: Tensor, k: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, H, T, K), allocated and divided for queries, competing for keys.

    seen (B, H, T, 1) is 1, or 0 for padding.
    """

    def total(x):
        return (seen * x).sum(dim=2, keepdim=True)

    incoming, outgoing = flow(q, total(k)), flow(k, total(q))
    allocation = flow(q, total(k / outgoing)).sigmoid()
    strength = flow(k, total(q / incoming)).clamp(-BOUND, BOUND).exp() * seen
    share = strength / strength.sum(dim=2, keepdim=True).clamp(min=EPS)
    return q * allocation / incoming, k * share * seen.sum(dim=2, keepdim=True)


def streamed(q: Tensor, k: Tensor, seen: Tensor, state: FlowState | None) -> tuple[Tensor, Tensor]:
    """The same, of a position and those before it; `state` has what was summed before."""
    K = q.shape[-1]
    known = state is not None and state.flows is not None
    past = state.flows.split((2 * K + 1, 2 * K, 1), dim=-1) if known else (0.0, 0.0, 0.0)
    first = past[0] + (seen * torch.cat((k, q, seen), dim=-1)).cumsum(dim=2)
    keys, queries, n = first.split((K, K, 1), dim=-1)
    n = n.clamp(min=1)
    incoming, outgoing = flow(q, keys) / n, flow(k, queries) / n
    second = past[1] + (seen * torch.cat((k / outgoing, q / incoming), dim=-1)).cumsum(dim=2)
    given, taken = second.chunk(2, dim=-1)
    allocation = (flow(q, given) / n).sigmoid()
    strength = (flow(k, taken) / n).clamp(-BOUND, BOUND).exp() * seen
    third = past[2] + strength.cumsum(dim=2)
    if state is not None:
        state.flows = torch.cat((first, second, third), dim=-1)[:, :, -1:].clone()
    return q * allocation / (incoming * n), k * strength * n / third.clamp(min=EPS)


def flow(x: Tensor, total: Tensor) -> Tensor:
    """What passes between each of x (B, H, T, K) and a sum (B, H, T or 1, K): (B, H, T, 1)."""
    return ((x + EPS) * (total + EPS)).sum(dim=-1, keepdim=True)
