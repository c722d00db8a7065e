"""Stick-breaking attention: the nearest key takes its share first, and the next of what is left."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention.base import AttentionOutput, Mechanism


@dataclass(kw_only=True, slots=True)
class Config:
    attend_current: bool = False  # a query's own position breaks the stick too, as the first
    remainder: bool = True  # what no key took goes to the query's own position; else it is lost
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class StickBreakingAttention(Mechanism):
    """A_ij = σ(S_ij) Π_{j < t < i} (1 − σ(S_it)) for j < i, S = q kᵀ / √K, in place of softmax.

    https://arxiv.org/abs/2410.17980, as in shawntan/stickbreaking-attention `sb_ref.py`. The order
    of the keys is part of it, so positions need not be told: of two that fit alike the nearer one
    wins. Rows sum to 1 − r, r = Π_j (1 − σ(S_ij)), and the remainder r is added to a query's own
    weight, as in the repository's tests.

    Deviation: other releases of the authors leave the remainder out (`remainder` False) or give it
    to learned values (not here); which the paper does is reconstructed. Where a query sees ahead,
    each side breaks a stick of a half: an extension. It has no meaning between two sequences, where
    no key is nearer.

    Cost: 2 B T S D multiplications, as plain attention, but 20 B H T S bytes are kept where
    gradients are (float32), twice that to both sides.

    >>> weights, rest = broken(torch.zeros(1, 4), torch.tensor([True, True, True, False]), True)
    >>> weights, rest  # of a query at the last position
    (tensor([[0.1250, 0.2500, 0.5000, 0.0000]]), tensor([[0.1250]]))
    """

    cross = False
    normalised = False  # what is left goes to a position that may be hidden, or is lost
    neutral = "a row of softmax is blind to the order of its keys, and this one is not"

    def combine(self, q, k, v, view):
        precise, seen = torch.promote_types(q.dtype, torch.float32), view.pairs()
        scores = ((q * q.shape[-1] ** -0.5) @ k.mT).to(precise)
        keys = torch.arange(view.S, device=q.device)
        own = keys[view.S - view.T :, None] == keys  # (T, S)
        if seen is None:
            seen = torch.ones_like(own)
        takes = seen if self.config.attend_current else seen & ~own
        weights, rest = broken(scores, takes, view.causal)
        if self.config.remainder:
            weights = weights + (seen & own) * rest
        return AttentionOutput(*view.read(weights.to(v.dtype), v))


def broken(scores: Tensor, takes: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    """What keys take of the stick (..., T, S), or of a half to each side, and what is left of it.

    The last query is aligned with the last key. What is left between a query and a key is a small
    difference of long sums, taken in double precision.
    """
    T, S = scores.shape[-2:]
    left = F.logsigmoid(-scores).masked_fill(~takes, 0.0)
    upto = left.double().cumsum(dim=-1)  # with a key and all before it
    own = upto.diagonal(S - T, -2, -1)[..., None]
    between, rest = own - upto, own.exp()
    if not causal:
        keys = torch.arange(S, device=scores.device)
        places = keys[S - T :, None]
        before = upto - left
        first = before.diagonal(S - T, -2, -1)[..., None]
        between = between.where(keys <= places, before - first)
        rest = (rest + (upto[..., -1:] - first).exp()) / 2
    logs = scores + left + between.to(scores.dtype)  # log σ(S) = S + log σ(−S)
    weights = logs.masked_fill(~takes, -torch.inf).exp()
    return weights if causal else weights / (2 - (keys == places).int()), rest.to(scores.dtype)
