"""Rotary multi-head attention with a base and a maximum distance, as in Echo."""

from dataclasses import dataclass

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    base: float = 10000.0  # of the rotation's wavelengths, in positions
    max_dist: int | None = None  # keys farther away than this are hidden, in positions; None: none


class RotaryAttention(Mechanism):
    """Softmax attention on queries and keys rotated by their position.

    RoPE, https://arxiv.org/abs/2104.09864; `base` and `max_dist` are the arguments of the focused
    attention module's `MultiheadAttention(base, dims, head, max_dist)`. In cross-attention nothing
    is rotated or hidden by distance: the two sequences share no positions.
    """

    neutral = "rotary", {}

    def setup(self, config):
        checks.positive(max_dist=config.max_dist)
        self.max_dist = config.max_dist

    def combine(self, q, k, v, view):
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs(within=self.max_dist)))
