"""Linear attention whose denominator is not summed but learned."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput
from focused_attention.attention.linear._sums import SumAttention

LEVEL = 15.0  # log η is kept so near to 0, or η of loud padding is none or infinite
ETAS = {"exp": torch.exp, "softplus": F.softplus, "sigmoid": torch.sigmoid}


@dataclass(kw_only=True, slots=True)
class Config:
    eta: str = "exp"  # one of ETAS: what makes the denominator positive
    keys: float = 256.0  # a row starts as a mean over so many; 1: as a sum, which the source's is
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class NormalisedAttention(SumAttention):
    """o_i = q_i Σ_j k_jᵀ v_j / η(x_i) with η(x) = exp(w_h · x + b_h) of every head.

    Normalised attention, https://arxiv.org/abs/2405.15731, as in IntelligentControlSystems/dsf-mqar
    `attention.py`: queries and keys have no features, so that weights have signs and rows no sum of
    one; η is told of the query's position alone. The exponential is the authors' best; the two
    others are those that they tried against it, reconstructed from what is written of them.

    Deviation: η times `keys`, since where thousands are seen a sum of so many would swamp what it
    is added to; w · x + b is held within ±15. Use in cross-attention and without causality is an
    extension.

    Cost: 2 B H T K² multiplications, when causal B H T 64 · 2 K more, and B T D H for η; 4 B H T
    (64 + K² / 64) bytes when causal, else 4 B H K²; decoding, 4 B H K² bytes.

    >>> layer = NormalisedAttention(Config(), dims=32, heads=4, causal=True)
    >>> state = layer.new_state()
    >>> layer(torch.randn(2, 100, 32), state=state).out.shape, state.sums.shape
    (torch.Size([2, 100, 32]), torch.Size([2, 4, 8, 8]))
    """

    tempered = False  # queries are linear in the output: a temperature would scale rows alone
    neutral = "a denominator that knows no key is no sum over keys"

    def setup(self, config):
        checks.choice("eta", config.eta, tuple(ETAS))
        checks.positive(keys=config.keys)
        self.eta = nn.Linear(self.dims, self.heads)

    def combine(self, q, k, v, view):
        return AttentionOutput(*self.attend(self.divided(q, view.x), k, v, view))

    def divided(self, q: Tensor, x: Tensor) -> Tensor:
        """Queries (B, H, T, K) over η of x (B, T, D), in single precision at least."""
        level = self.split(self.eta(x)).to(torch.promote_types(q.dtype, torch.float32))
        return q / (self.config.keys * ETAS[self.config.eta](level.clamp(-LEVEL, LEVEL)))
