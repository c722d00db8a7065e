"""Yaad: a memory beside attention whose steps are bounded, so that an outlier moves it little."""

from dataclasses import dataclass

import torch.nn.functional as F

from focused_attention.attention.memories import MemoryAttention
from focused_attention.attention.memory._state import MemoryConfig


@dataclass(kw_only=True, slots=True)
class Config(MemoryConfig):
    pass


class YaadAttention(MemoryAttention):
    """The layer of `titans` with the Huber loss of ‖M(k) - v‖, and without momentum.

    https://arxiv.org/abs/2504.13173: M_t = (1 - α_t) M_{t-1} - Σ θ_i ∇ℓ, where ∇ℓ is that of the
    squared error up to ‖e‖ = δ_i, and from there on has its length at δ_i: e becomes δ e / ‖e‖.
    Every key has its own δ = softplus(w·x_i + b).

    Reconstructed from notes on the paper: that δ is a softplus, and which of the two continuous
    losses is meant, that of the norm or that of each channel. Deviation: those of `titans`; θ and α
    are one number a head, the paper's one a channel; the published layer has no window beside it
    (`alone=True`).

    Cost: as `titans`, with 8 K² / C for the 16 K² / C of its bytes.

    >>> import torch
    >>> layer, error = YaadAttention(Config(), dims=8, heads=2), torch.tensor([[0.3, 0, 0, 0.4]])
    >>> [layer.slope(error * size, torch.zeros(1, 3)).norm() for size in (1, 10, 100)]  # δ = log 2
    [tensor(0.2500), tensor(0.3466), tensor(0.3466)]
    """

    logits = 3  # and that of δ

    def slope(self, error, told):
        length = error.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()
        return super().slope(error, told) * (F.softplus(told[..., 2:3]) / length).clamp(max=1.0)
