"""Softmax attention with one head, whose queries are compared with the input itself."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class SingleHeadAttention(Mechanism):
    """softmax(x W_QK xᵀ / √D) x W_V: one head, W_QK = W_Q W_Kᵀ in one matrix, W_K = 1.

    Reducing the Transformer Architecture to a Minimum, https://arxiv.org/abs/2410.13732, section 3:
    no power is lost by it, and D² weights are saved. The row of weights is one for all H slices of
    the values, and shown, edited and tempered as that of each. A layer that adopts plain attention
    multiplies its W_Q and W_K: of one head the same function, of several the sum of their scores.

    Deviation: W_QK has a bias, so that a layer of one head can be adopted; a head is turned by RoPE
    slice by slice. Causality and cross-attention are extensions.

    Cost: 2 B T S D multiplications, as plain attention, and B S D² fewer for keys; 4 B T S bytes of
    weights (float32) where they are kept, H times that where heads have temperatures.

    >>> layer = SingleHeadAttention(Config(), dims=32, heads=4)
    >>> weights = layer(torch.randn(2, 9, 32), need_weights=True).weights
    >>> weights.shape, torch.equal(weights[:, 0], weights[:, 3])
    (torch.Size([2, 4, 9, 9]), True)
    """

    neutral = "several heads look at several places, and one head looks at one"

    def setup(self, config):
        self.key = nn.Identity()

    def combine(self, q, k, v, view):
        seen, scale = view.pairs(), self.dims**-0.5
        if self.heat is not None:  # of the scores of a slice of values, not of a slice of queries
            q = q * self.heat.to(q)[:, None, None]
        q, k = joined(q), joined(k)
        if self.heat is None and not view.explicit:
            out, _ = softmax_attention(q, k, joined(v), view, seen, scale)
            return AttentionOutput(self.split(out[:, 0]))
        scores = (q * scale) @ k.mT  # (B, 1, T, S)
        if self.heat is not None:
            scores = scores / self.heat.to(q)[:, None, None]
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = scores.softmax(dim=-1)
        if seen is not None:
            weights = weights.masked_fill(~seen, 0.0)
        return AttentionOutput(*view.read(weights.expand(-1, self.heads, -1, -1), v))

    def placed(self, weights):
        if "key.weight" not in weights:
            return weights
        W_Q, b, W_K = (weights[name] for name in ("query.weight", "query.bias", "key.weight"))
        own = {"query.weight": W_K.mT @ W_Q, "query.bias": W_K.mT @ b}
        return {name: of for name, of in weights.items() if name != "key.weight"} | own


def joined(x: Tensor) -> Tensor:
    """The slices (B, H, T, K) as one head (B, 1, T, D)."""
    return x.transpose(1, 2).flatten(2)[:, None]
