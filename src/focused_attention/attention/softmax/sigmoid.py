"""Sigmoid attention: every key is weighed alone."""

from dataclasses import dataclass

import torch

from focused_attention.attention.base import AttentionOutput, Mechanism

EPS = 1e-8  # is added to the sum of a row


@dataclass(kw_only=True, slots=True)
class Config:
    normalise: bool = False  # divide a row by its sum
    less_log_n: bool = False  # subtract log n from scores, n the keys that a query sees
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class SigmoidAttention(Mechanism):
    """σ(q kᵀ / √K) v: weights that share nothing, so that no key need take what is left over.

    One of the attentions without a sink of https://arxiv.org/abs/2410.10781. A row sums to anything
    up to n; `normalise` divides it by its sum, and the sink returns. `less_log_n` is another
    paper's, https://arxiv.org/abs/2409.04431: σ(s - log n) is about eˢ / n, so that a layer which
    adopts plain attention starts near a working function; without it, its output is some n / 2
    times too large.

    Deviation: use in cross-attention and without causality is an extension.

    Cost: 2 B H T S K multiplications; 4 B H T S bytes are kept.

    >>> layer = SigmoidAttention(Config(), dims=32, heads=4)
    >>> layer(torch.zeros(1, 50, 32), need_weights=True).weights.sum(dim=-1)[0, 0, 0].item()
    25.0
    """

    normalised = False
    neutral = "weights that do not share a sum are no softmax at any setting"

    def combine(self, q, k, v, view):
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        scores = scores.to(torch.promote_types(q.dtype, torch.float32))
        if self.config.less_log_n:
            scores = scores - view.counts().clamp(min=1).to(scores).log()
        weights = scores.sigmoid()
        if (seen := view.pairs()) is not None:
            weights = weights.masked_fill(~seen, 0.0)
        if self.config.normalise:
            weights = weights / (weights.sum(dim=-1, keepdim=True) + EPS)
        return AttentionOutput(*view.read(weights.to(v.dtype), v))
