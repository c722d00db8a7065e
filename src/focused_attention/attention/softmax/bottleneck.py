"""Softmax attention through a bottleneck: the layer passes a handful of positions."""

from dataclasses import dataclass

import torch
from torch import nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism


@dataclass(kw_only=True, slots=True)
class Config:
    k: int = 8  # positions that are passed, for all heads and queries; the idea is of 4 to 8
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class BottleneckAttention(Mechanism):
    """softmax_C(q kᵀ / √K) v of the k positions C where r · k / √D is highest.

    Reconstructed from The Consciousness Prior, https://arxiv.org/abs/1709.08568, which has no
    formula: attention with a learned question r selects a few elements of a broader pool, the
    conscious state, and every query reads them alone (they are "broadcast"). r is one for all
    heads, meets keys of all D columns, and is drawn N(0, 1).

    Gradients: the choice is hard, and an element that is not chosen gets none. r is trained
    straight through: of a chosen element, r · k / √D less its own value, 0, is added to its scores,
    as if its logarithmic probability were. Of one element alone it learns nothing.

    Cost: B S D multiplications to choose and 2 B T D k to read, both linear; 4 B H T k bytes of
    weights (float32).

    >>> layer = BottleneckAttention(Config(k=4), dims=32, heads=4)
    >>> weights = layer(torch.randn(1, 50, 32), need_weights=True).weights
    >>> weights.sum(dim=(0, 1, 2)).count_nonzero()
    tensor(4)
    """

    causal = False  # what is chosen follows from the whole sequence
    neutral = "whisper", {"k": 10**9}

    def setup(self, config):
        checks.positive(k=config.k)
        self.reader = nn.Parameter(torch.randn(self.heads, self.dims // self.heads))  # r

    def combine(self, q, k, v, view):
        (B, H, T, K), S, seen = q.shape, view.S, view.pairs()
        logits = torch.einsum("bhsk,hk->bs", k, self.reader) * self.dims**-0.5
        if seen is not None:
            anyone = seen.any(dim=2)[:, 0]  # (B or 1, S)
            logits = logits.masked_fill(~anyone, torch.finfo(logits.dtype).min)
        best = logits.topk(min(self.config.k, S), dim=-1).indices[:, None]  # (B, 1, k)
        chosen, values = (x.take_along_dim(best[..., None], dim=2) for x in (k, v))
        asked = logits[:, None].take_along_dim(best, dim=-1)
        straight = (asked - asked.detach())[:, :, None]  # (B, 1, 1, k)
        scores = (q * K**-0.5) @ chosen.mT + straight
        if seen is not None:
            seen = seen.take_along_dim(best[:, :, None], dim=-1)
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = scores.softmax(dim=-1)
        if seen is not None:
            weights = weights.masked_fill(~seen, 0.0)  # a row that sees nothing is 0, not NaN
        if not view.explicit:
            return AttentionOutput(weights @ values)
        places = best[:, :, None].expand_as(weights)
        rows = weights.new_zeros(B, H, T, S).scatter(-1, places, weights)
        return AttentionOutput(*view.read(rows, v))
