"""Differential attention: what one head of a pair sees, less what the other one does."""

import dataclasses
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = 10000.0  # rotate queries and keys (RoPE) with this base; None: do not
    eps: float = 1e-5  # of the pairs' normalisation


class DifferentialAttention(Mechanism):
    """(softmax(Q₁K₁ᵀ / √K) − λ softmax(Q₂K₂ᵀ / √K)) V of every pair of heads, normalised.

    https://arxiv.org/abs/2410.05258, as in microsoft/unilm `multihead_diffattn.py`. Heads 2h and
    2h + 1 are a pair, whose V is the values of both, 2K wide. λ = exp(λ_q1 · λ_k1) −
    exp(λ_q2 · λ_k2) + λ_init is one number a layer, λ_init = 0.8 − 0.6 exp(−0.3 layer). A pair's
    output is divided by its root mean square, times a gain (2K) that pairs share, times 1 − λ_init.

    Weights, shown and edited, are those that meet V: softmax of head 2h, −λ softmax of head 2h + 1.
    The two add up to the differential map, whose rows sum to 1 − λ and may be negative.

    Deviation: projections have the biases of all mechanisms here. Halves are rotated, not
    neighbours, which permutes weights. Attention to both sides and cross-attention are extensions.

    Cost: 4 B T S D multiplications, twice plain attention's, and 4 B H T S bytes of weights where
    they are kept.

    >>> layer = DifferentialAttention(Config(), dims=32, heads=4, layer=1)
    >>> weights = layer(torch.randn(2, 9, 32), need_weights=True).weights
    >>> weights.shape, weights[0, :, 0].sum(dim=-1).sign().tolist()
    (torch.Size([2, 4, 9, 9]), [1.0, -1.0, 1.0, -1.0])
    """

    normalised = False
    neutral = "the output of every pair is divided by its root mean square"

    def setup(self, config):
        checks.positive(eps=config.eps)
        if self.heads % 2:
            raise ValueError(f"heads: expected an even number (they are pairs), given {self.heads}")
        K = self.dims // self.heads
        self.start = 0.8 - 0.6 * math.exp(-0.3 * self.layer)  # λ_init
        self.lambdas = nn.Parameter(0.1 * torch.randn(4, K))  # λ_q1, λ_k1, λ_q2, λ_k2
        self.gain = nn.Parameter(torch.ones(2 * K))

    def combine(self, q, k, v, view):
        K = q.shape[-1]
        signs = self.signs().to(q.dtype)[:, None, None]  # (H, 1, 1)
        both = v.unflatten(1, (-1, 2)).transpose(2, 3).flatten(3)  # (B, H / 2, S, 2K)
        values = both.repeat_interleave(2, dim=1)
        q, k = (F.pad(x, (0, K)) for x in (q, k))  # as wide as the values: for the fused kernels
        seen, scale = view.pairs(), K**-0.5
        if view.explicit:
            out, weights = softmax_attention(q, k, values, signed(view, signs), seen, scale)
        else:
            out, weights = softmax_attention(q, k, values, view, seen, scale)
            out = out * signs
        out = out.unflatten(1, (-1, 2)).sum(dim=2)  # (B, H / 2, T, 2K)
        out = (1 - self.start) * F.rms_norm(out, (2 * K,), self.gain, self.config.eps)
        return AttentionOutput(out.unflatten(-1, (2, K)).transpose(2, 3).flatten(1, 2), weights)

    def signs(self) -> Tensor:
        """1 of the first head of a pair, −λ of the second, (H,)."""
        exact = self.lambdas.to(torch.promote_types(self.lambdas.dtype, torch.float32))
        first, second = (exact[::2] * exact[1::2]).sum(dim=-1).exp()
        weight = first - second + self.start
        return torch.stack((torch.ones_like(weight), -weight)).repeat(self.heads // 2)


def signed(view: View, signs: Tensor) -> View:
    """A view whose rows of weights are multiplied by (H, 1, 1) before all else."""
    edit = view.edit or (lambda rows: rows)
    return dataclasses.replace(view, edit=lambda rows: edit(rows * signs))
