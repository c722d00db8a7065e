"""Lightning attention block after block, with one matrix that is carried on."""

from dataclasses import dataclass

import torch

from focused_attention.attention import checks
from focused_attention.attention.linear import lightning
from focused_attention.attention.linear.lightning import LightningAttention


@dataclass(kw_only=True, slots=True)
class Config(lightning.Config):
    block: int = 64  # B, positions


class LightningBlockedAttention(LightningAttention):
    """The same as `lightning`, as Lightning-2 computes it.

    https://arxiv.org/abs/2401.04658, as in OpenNLPLab/lightning-attention `lightning_attn2.py`. Of
    a block of B positions i, j = 0..B-1: intra = ((Q Kᵀ) ⊙ λ^(i - j)) V, inter = λ^i Q KV, and for
    the next block KV ← λ^B KV + (λ^(B - j) K)ᵀ V. A block needs one K × K matrix of those before,
    where `lightning` has one of every chunk at once.

    Deviation: as of `lightning`. Without causality blocks are gone through from either end.

    Cost: B H T (2 · block · K + 2 K²) multiplications, twice that without causality, and 2 B T D K
    for the gate; 4 B H (block² + K²) bytes at a time, of which training keeps those of all blocks.

    >>> layer = LightningBlockedAttention(Config(block=16), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    neutral = "lightning", {}

    def setup(self, config):
        checks.positive(block=config.block)
        super().setup(config)

    def decayed(self, q, k, v, past, diagonal=0):
        kv = k.new_zeros(*k.shape[:2], k.shape[3], v.shape[3]) if past is None else past
        out = []
        for Q, K, V in zip(*(x.split(self.config.block, dim=2) for x in (q, k, v)), strict=True):
            B = Q.shape[2]
            i = torch.arange(B, device=q.device)
            near = self.decay((i[:, None] - i).abs(), q).tril(diagonal)
            since, until = (self.decay(x, q)[:, :, None] for x in (i, B - i))
            out.append(((Q @ K.mT) * near) @ V + (Q * since) @ kv)
            kv = self.decay(i.new_tensor(B), q)[:, None, None] * kv + (K * until).mT @ V
        return torch.cat(out, dim=2), kv
