"""Memora: a memory beside attention whose weights are shares, multiplied where others add."""

from dataclasses import dataclass

from focused_attention.attention import checks
from focused_attention.attention.memories import MemoryAttention
from focused_attention.attention.memory._state import MemoryConfig


@dataclass(kw_only=True, slots=True)
class Config(MemoryConfig):
    c: float = 1.0  # what the weights into a unit sum to


class MemoraAttention(MemoryAttention):
    """The layer of `titans` whose memory has W = c softmax(A): exponentiated descent, no momentum.

    https://arxiv.org/abs/2504.13173: W_t = c softmax((1 - λ_t) log W_{t-1} - Σ θ_i ∇ℓ) with the
    mean of (M(k) - v)². Retention is a divergence from W_{t-1} and an entropy: λ, here α, flattens
    all weights towards one another, where others shrink to zero. A is log W up to what softmax does
    not see, so that A_t = (1 - α_t) A_{t-1} - Σ θ_i ∇ℓ is the same rule.

    Reconstructed from notes on the paper: that c is 1, and that softmax is over the weights into a
    unit of either matrix. Deviation: those of `titans`; A starts normal, the gain γ of LN descends
    as elsewhere; the paper's chunks adapt W at their first key and then go on without the softmax,
    here every chunk keeps to the rule; θ and α are of a head, not of a channel; the published layer
    has no window beside it (`alone=True`).

    Cost: as `titans`, with 24 K² / C for the 16 K² / C of its bytes, and 8 B H T K² / C
    exponentials.

    >>> layer = MemoraAttention(Config(), dims=8, heads=2)
    >>> W1, W2, _ = layer.link(layer.start)
    >>> W1.shape, bool((W1 > 0).all()), W1.sum(dim=-2).round(decimals=4).unique().tolist()
    (torch.Size([2, 4, 16]), True, [1.0])
    """

    def setup(self, config):
        checks.positive(c=config.c)
        super().setup(config)

    def drawn(self, K):
        A = super().drawn(K)
        A[:-K].normal_()
        return A

    def link(self, A):
        W1, W2, gamma = super().link(A)
        return self.config.c * W1.softmax(dim=-2), self.config.c * W2.softmax(dim=-2), gamma
