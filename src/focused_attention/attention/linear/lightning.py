"""Linear attention that decays with distance, without a denominator: TransNormerLLM's."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput
from focused_attention.attention.kernels import CHUNK, products
from focused_attention.attention.linear._sums import SumAttention
from focused_attention.attention.sparse.windowed import slopes
from focused_attention.attention.windows import blocks

NORMS = ("layernorm", "srmsnorm")


@dataclass(kw_only=True, slots=True)
class Config:
    norm: str = "layernorm"  # one of NORMS: of what the heads have read
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class LightningAttention(SumAttention):
    """norm(o) ⊙ σ(x W₁ W₂) with o = ((q kᵀ) ⊙ λ^(i - j)) v, and q, k, v through SiLU.

    TransNormerLLM with Lightning Attention, https://arxiv.org/abs/2405.17381, as in
    OpenNLPLab/lightning-attention `tnl_attn.py`. λ = exp(-s) of every head, with ALiBi's slopes
    s · (1 - l / (L - 1) + 1e-5) in layer l of L: the last layer hardly decays. Nothing divides a
    row, so the output is normalised over all heads: by `layernorm`, as released, or the paper's
    `srmsnorm`, x / √(mean x² + 1e-6). The gate has rank K.

    Deviation: without causality λ^|i - j| is an extension. Lightning-1 computes every weight, tile
    by tile; here chunks of 64 share sums (another way to the same: `lightning_blocked`). What SiLU
    makes of queries and keys, which the paper rotates in its first layer and the released layer
    does not, is rotated in any layer that has a `base`.

    Cost: B H T (128 K + 2 K²) multiplications, twice that without causality, and 2 B T D K for the
    gate; 4 B H T (64 + K² / 64) bytes; decoding, 4 B H K² bytes.

    >>> layer = LightningAttention(Config(), dims=32, heads=4, causal=True, layer=3, depth=7)
    >>> layer.slopes[0]  # of 0.25, in the middle
    0.1250025
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    cross = False  # two sequences share no distances
    tempered = False  # rows have no sum, and the norm undoes what scales them
    neutral = "weights that decay and have signs are no softmax at any setting"

    def setup(self, config):
        checks.choice("norm", config.norm, NORMS)
        rate = 1 - self.layer / max(1, self.depth - 1) + 1e-5
        self.slopes = [slope * rate for slope in slopes(self.heads)]  # -log λ
        self.norm = nn.LayerNorm(self.dims) if config.norm == NORMS[0] else SimpleRMSNorm()
        rank = self.dims // self.heads
        self.gate = nn.Sequential(
            nn.Linear(self.dims, rank, bias=False), nn.Linear(rank, self.dims, bias=False)
        )

    def position(self, q, k, offset):
        return super().position(F.silu(q), F.silu(k), offset)

    def combine(self, q, k, v, view):
        out, weights = self.attend(q, k, F.silu(v), view)
        out = self.norm(out.transpose(1, 2).flatten(2)) * self.gate(view.x).sigmoid()
        return AttentionOutput(self.split(out), weights)

    def rows(self, q, k, view):
        place = torch.arange(k.shape[2], device=q.device)
        distance = (place[-q.shape[2] :, None] - place).abs()
        return products(q, k, view) * self.decay(distance, q)

    def summed(self, q, k, v, past, view):
        if view.causal:
            return self.decayed(q, k, v, past)
        turned = (x.flip(2) for x in (q, k, v))
        back, ahead = self.decayed(q, k, v, None)[0], self.decayed(*turned, None, -1)[0]
        return back + ahead.flip(2), None

    def decay(self, distance: Tensor, like: Tensor) -> Tensor:
        """λ^distance of every head, (H, ...)."""
        rate = like.new_tensor(self.slopes).view(-1, *(1,) * distance.ndim)
        return (-rate * distance).exp()

    def decayed(
        self, q: Tensor, k: Tensor, v: Tensor, past: Tensor | None, diagonal: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Σ λ^(i - j) (q_i · k_j) v_j over j ≤ i + diagonal; and the sums (B, H, K, K).

        Sums are decayed to the position after the last, and so is the `past` to the first.
        """
        T, C = q.shape[2], min(CHUNK, q.shape[2])
        if rest := T % C:  # a chunk that is filled up would decay too far
            heads, tails = zip(*(x.split((T - rest, rest), dim=2) for x in (q, k, v)), strict=True)
            first, past = self.decayed(*heads, past, diagonal)
            last, past = self.decayed(*tails, past, diagonal)
            return torch.cat((first, last), dim=2), past
        place = torch.arange(C, device=q.device)
        near = self.decay((place[:, None] - place).abs(), q).tril(diagonal)[:, None]
        since, until = (self.decay(x, q)[:, None, :, None] for x in (place, C - place))
        q, k, v = (blocks(x, C) for x in (q, k, v))  # (B, H, n, C, K)
        chunks = (k * until).mT @ v  # (B, H, n, K, K)
        first = torch.zeros_like(chunks[:, :, :1]) if past is None else past[:, :, None]
        upto = torch.cat((first, chunks), dim=2)
        step = 1
        while step < upto.shape[2]:  # after it, each has summed the 2 · step chunks up to its own
            before = F.pad(upto[:, :, :-step], (0, 0, 0, 0, step, 0))
            upto = upto + before * self.decay(place.new_tensor(step * C), q)[:, None, None, None]
            step *= 2
        out = ((q @ k.mT) * near) @ v + (q * since) @ upto[:, :, :-1]
        return out.flatten(2, 3), upto[:, :, -1].clone()


class SimpleRMSNorm(nn.Module):
    """x / √(mean x² + 1e-6), without weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], eps=1e-6)
