"""Plain attention, sharper the more keys a query sees: variable-size scaling."""

import math
from dataclasses import dataclass

import torch

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    train_length: int = 256  # keys that a query saw when the model was trained, at least 2
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class LogScalingAttention(Mechanism):
    """softmax(√(log n / log n_train) q kᵀ / √K) v, n the keys that a query sees, at least 2.

    Variable-size scaling, https://arxiv.org/abs/2306.08645: a model that was trained at n_train
    keys keeps about the entropy of its attention at any number of them. Nothing is learned.

    Deviation: there n is the length of a whole image; here it is counted for every query, through
    padding and causality. The default n_train is no model's: it is to be set.

    Cost: 2 B H T S K multiplications; no rows of weights are kept.

    >>> layer = LogScalingAttention(Config(train_length=20), dims=32, heads=4)
    >>> layer.scale(torch.tensor([20.0, 400.0]))  # 400 is 20 squared
    tensor([1.0000, 1.4142])
    """

    neutral = "it is plain attention for queries that see train_length keys, and for no others"

    def setup(self, config):
        checks.positive(train_length=config.train_length)

    def combine(self, q, k, v, view):
        n = view.counts().to(torch.promote_types(q.dtype, torch.float32))
        q = (q * self.scale(n)).to(q.dtype)
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs()))

    def scale(self, n: torch.Tensor) -> torch.Tensor:
        """What the scores of queries that see n keys are multiplied by."""
        return (n.clamp(min=2).log() / math.log(max(2, self.config.train_length))).sqrt()
