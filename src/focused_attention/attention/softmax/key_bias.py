"""Softmax attention with a learned key in front, whose value is zero or learned."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.softmax.null_key import with_null
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    value: bool = False  # learn the value of the learned key too ("KV bias"); else it is zero
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class KeyBiasAttention(Mechanism):
    """softmax(q [k*, k]ᵀ / √K) [v*, v] with a learned key k* of every head, and v* = 0 or learned.

    The "K biases" and "KV biases" of https://arxiv.org/abs/2410.10781: the sink moves from the
    first position to k*, which has none and is not rotated. Both start at N(0, 0.02). The weights
    that are shown leave k*'s out, so that a row sums to less than one.

    Deviation: the released code can share k* and v* between heads, and has v* alone. Use in
    cross-attention and without causality is an extension. What an intervention does to the sum of a
    row, it does to the share of v* in that row.

    Cost: 2 B H T (S + 1) K multiplications; no rows of weights are kept.

    >>> layer = KeyBiasAttention(Config(), dims=32, heads=4)
    >>> layer(torch.zeros(1, 1, 32), need_weights=True).weights.shape
    torch.Size([1, 4, 1, 1])
    """

    normalised = False
    neutral = "a key that all queries share cannot be out of the way of every query"

    def setup(self, config):
        shape = self.heads, self.dims // self.heads
        self.key_bias = nn.Parameter(0.02 * torch.randn(shape))  # k*
        if config.value:
            self.value_bias = nn.Parameter(0.02 * torch.randn(shape))  # v*

    def combine(self, q, k, v, view):
        seen, first = view.pairs(), self.key_bias[:, None]  # (H, 1, K)
        if view.explicit or view.T == 1:
            q = q * q.shape[-1] ** -0.5
            weights, null = with_null(q @ k.mT, q @ first.mT, seen)
            return AttentionOutput(*self.read(weights, null, v, view))
        if self.config.value:
            value = self.value_bias[:, None].expand(len(v), -1, -1, -1)
            v = torch.cat((value, v), dim=2)
        else:
            v = F.pad(v, (0, 0, 1, 0))
        if seen is not None:  # what sees no key does not see k* either
            seen = torch.cat((seen.any(dim=-1, keepdim=True), seen), dim=-1)
        k = torch.cat((first.expand(len(k), -1, -1, -1), k), dim=2)
        return AttentionOutput(*softmax_attention(q, k, v, view, seen))

    def read(
        self, weights: Tensor, null: Tensor, v: Tensor, view: View
    ) -> tuple[Tensor, Tensor | None]:
        """`View.read`, and v* under its weights (B, H, T, 1)."""
        if not self.config.value:
            return view.read(weights, v)
        if (seen := view.pairs()) is not None:
            null = null.masked_fill(~seen.any(dim=-1, keepdim=True), 0.0)
        out, shown = view.read(weights, F.pad(v, (0, 1), value=1.0))  # of ones: the sum of a row
        if view.edit is not None:
            before = weights.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
            null = null * (out[..., -1:] / before)
        return out[..., :-1] + null * self.value_bias[:, None], shown
