"""Entropy-ABF: rotary attention for longer inputs, by a larger base and a scale of log n."""

import math
from dataclasses import dataclass

import torch

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    base: float = 500000.0  # of the rotation's wavelengths, in positions
    train_length: int = 4096  # keys up to which nothing is scaled, at least 2
    plain_layers: int = 2  # first layers of the stack in which nothing is scaled


class EntropyABFAttention(Mechanism):
    """softmax(max(1, log n / log n_train) q kᵀ / √K) v, q and k rotated with a base of 500,000.

    Entropy-aware ABF, https://arxiv.org/abs/2401.07004: the base is "adjusted" from RoPE's 10,000,
    and rows longer than in training are sharpened, but not in the first two layers. n is the number
    of keys that a query sees: when causal its position, from 1.

    Deviation: n without causality is an extension, as is cross-attention, where nothing is rotated.
    At the default n_train, a model's of text, no utterance is scaled.

    Cost: 2 B H T S K multiplications; no rows of weights are kept.

    >>> layer = EntropyABFAttention(Config(train_length=20), dims=32, heads=4, layer=2, depth=4)
    >>> layer.scale(torch.tensor([5.0, 20.0, 400.0]))
    tensor([1., 1., 2.])
    """

    neutral = "rotary", {"base": 10000.0, "train_length": 10**9}

    def setup(self, config):
        if not config.train_length > 1:
            raise ValueError(
                f"train_length: expected more than one key, given {config.train_length!r}"
            )
        checks.not_negative(plain_layers=config.plain_layers)

    def combine(self, q, k, v, view):
        if view.layer >= self.config.plain_layers:
            n = view.counts().to(torch.promote_types(q.dtype, torch.float32))
            q = (q * self.scale(n)).to(q.dtype)
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs()))

    def scale(self, n: torch.Tensor) -> torch.Tensor:
        """What the scores of queries that see n keys are multiplied by."""
        return (n.clamp(min=1).log() / math.log(self.config.train_length)).clamp(min=1)
