"""LSSA and LSSAR: softplus attention with a length scale, and its re-weighting."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention.base import AttentionOutput, Mechanism

EPS = 1e-8  # is added to the sum of a row that is re-weighted


@dataclass(kw_only=True, slots=True)
class Config:
    power: float | None = 15.0  # p of the re-weighting, 1 or more; None: none, which is LSSA
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class LSSARAttention(Mechanism):
    """A = softplus(log K log n q̂ k̂ᵀ) over its row sums, then relu(n A - O)^p over its row sums.

    Softplus attention with re-weighting, https://arxiv.org/abs/2501.13428. q̂ and k̂ have length 1,
    n is the number of keys that a query sees, and O = 1, but 0 where n ≤ 3: keys below a row's mean
    get exactly zero. LSSA is the first step alone; p = 3 was best at the length of training.

    Deviation: n without causality is an extension, as is cross-attention. Formulas are from notes
    on the paper, and where ε = 1e-8 is added is reconstructed: to the sum of the second step, so
    that a row none of whose weights stands out fades to zero.

    Cost: 2 B H T S K multiplications and B H T S powers; some 20 B H T S bytes are kept.

    >>> layer = LSSARAttention(Config(), dims=32, heads=4)
    >>> reweighted(torch.tensor([0.6, 0.3, 0.1, 0.0]), torch.tensor([4.0]), 2.0)
    tensor([0.9800, 0.0200, 0.0000, 0.0000])
    """

    normalised = False  # a row that is too flat fades
    neutral = "queries and keys of length one and a softplus give no softmax at any setting"

    def setup(self, config):
        if config.power is not None and not config.power >= 1:
            raise ValueError(f"power: expected 1 or more, or None, given {config.power!r}")

    def combine(self, q, k, v, view):
        precise = torch.promote_types(q.dtype, torch.float32)
        n = view.counts().clamp(min=1).to(precise)
        scale = math.log(q.shape[-1]) * n.log()
        if self.heat is not None:  # a length of one forgets it
            scale = scale / self.heat.to(scale)[:, None, None]
        q, k = (F.normalize(x.to(precise), dim=-1) for x in (q, k))
        weights = F.softplus((q * scale) @ k.mT)
        if (seen := view.pairs()) is not None:
            weights = weights.masked_fill(~seen, 0.0)
        total = weights.sum(dim=-1, keepdim=True)
        weights = weights / total.clamp(min=torch.finfo(precise).tiny)
        if self.config.power is not None:
            weights = reweighted(weights, n, self.config.power)
        return AttentionOutput(*view.read(weights.to(v.dtype), v))


def reweighted(weights: Tensor, n: Tensor, power: float) -> Tensor:
    """Rows (..., S) that sum to one, over n (..., 1) keys, with what stands out raised."""
    above = (n * weights - (n > 3).to(weights)).relu()
    top = above.detach().amax(dim=-1, keepdim=True).clamp(min=1)
    powers = (above / top) ** power  # above**power would overflow
    return powers / (powers.sum(dim=-1, keepdim=True) + EPS * top**-power)
