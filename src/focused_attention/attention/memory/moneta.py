"""Moneta: a memory beside attention with an ℓ_p loss and weights on the scale of an ℓ_q norm."""

from dataclasses import dataclass

from torch import Tensor

from focused_attention.attention.memories import MemoryAttention
from focused_attention.attention.memory._state import MemoryConfig


@dataclass(kw_only=True, slots=True)
class Config(MemoryConfig):
    rate: float = 0.03  # the slope grows with the error, so that `titans` steps are too long
    p: float = 3.0  # of the loss
    q: float = 4.0  # of the norm


class MonetaAttention(MemoryAttention):
    """The layer of `titans` with the loss mean |M(k) - v|^p and W = A / ‖A‖_q^(q - 2), no momentum.

    https://arxiv.org/abs/2504.13173: A_t = (1 - α_t) A_{t-1} - Σ θ_i ∇ℓ, and both matrices of the
    memory are scaled by their own norm, so that the larger A has grown, the less its own scale
    counts: for q = 4, ‖W‖ = 1 / ‖A‖. As in the paper, |e| is √(e² + 1e-6), and the norm is taken
    where a chunk ends. With p = q = 2 it is `titans` with `momentum=False`.

    Reconstructed from notes on the paper. Deviation: those of `titans`; the mean over channels
    where the paper sums, and θ and α of a head, not of a channel; LN's gain γ descends without a
    norm; the published layer has no window beside it (`alone=True`).

    Cost: as `titans`, with 24 K² / C for the 16 K² / C of its bytes, and 8 B H T K² / C powers.

    >>> import torch
    >>> scaled(torch.tensor([[3.0, 0.0], [0.0, 3.0]]), 2.0)
    tensor([[3., 0.],
            [0., 3.]])
    >>> scaled(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), 4.0)  # 3 / 3²
    tensor([[0.3333, 0.0000],
            [0.0000, 0.0000]])
    """

    def setup(self, config):
        for name, value, least in (("p", config.p, 1), ("q", config.q, 2)):
            if not value >= least:
                raise ValueError(f"{name}: expected {least} or more, given {value!r}")
        super().setup(config)

    def slope(self, error, told):
        p = self.config.p
        return p / error.shape[-1] * error * (error.square() + 1e-6) ** (p / 2 - 1)

    def link(self, A):
        W1, W2, gamma = super().link(A)
        return scaled(W1, self.config.q), scaled(W2, self.config.q), gamma


def scaled(A: Tensor, q: float) -> Tensor:
    """A / ‖A‖_q^(q - 2) of matrices (..., K, U)."""
    total = A.abs().pow(q).sum(dim=(-2, -1), keepdim=True)
    return A * (total + 1e-12) ** (2 / q - 1)
