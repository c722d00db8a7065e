"""Attention whose weights grow with the score, not with its exponential."""

from dataclasses import dataclass

import torch

from focused_attention.attention.base import AttentionOutput, Mechanism

EPS = 1e-8  # is added to the sum of a row


@dataclass(kw_only=True, slots=True)
class Config:
    normalise: bool = False  # divide a row by its sum
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class ELUAttention(Mechanism):
    """(elu(q kᵀ / √K) + 1) v: the weight of a score S is eˢ up to 0, and S + 1 above.

    One of the attentions without a sink of https://arxiv.org/abs/2410.10781, whose code has it with
    and without division by the row's sum: here `normalise`. The elu is of the score; that of
    queries and keys, elu(q) + 1 and elu(k) + 1, is the same code's kernel, another mechanism.

    Deviation: use in cross-attention and without causality is an extension.

    Cost: 2 B H T S K multiplications; 8 B H T S bytes are kept.

    >>> layer = ELUAttention(Config(), dims=32, heads=4)
    >>> elu_plus_one(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0.3679, 1.0000, 3.0000])
    """

    normalised = False
    neutral = "a weight that grows linearly with its score is no softmax at any setting"

    def combine(self, q, k, v, view):
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        weights = elu_plus_one(scores.to(torch.promote_types(q.dtype, torch.float32)))
        if (seen := view.pairs()) is not None:
            weights = weights.masked_fill(~seen, 0.0)
        if self.config.normalise:
            weights = weights / (weights.sum(dim=-1, keepdim=True) + EPS)
        return AttentionOutput(*view.read(weights.to(v.dtype), v))


def elu_plus_one(x: torch.Tensor) -> torch.Tensor:
    """elu(x) + 1, without the loss of digits of adding 1 to a number near -1."""
    return x.relu() + x.clamp(max=0).exp()
