"""Rotary multi-head attention with a base and a maximum distance, as in Echo."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention.base import Core, softmax_attention
from focused_attention.attention.positions import rotate, rotations


@dataclass(kw_only=True, slots=True)
class Config:
    base: float = 10000.0  # of the rotation's wavelengths, in positions
    max_dist: int | None = None  # keys farther away than this are hidden, in positions; None: none


class RotaryAttention(Core):
    """Softmax attention on queries and keys rotated by their position.

    RoPE, https://arxiv.org/abs/2104.09864; `base` and `max_dist` are the arguments of the focused
    attention module's `MultiheadAttention(base, dims, head, max_dist)`. In cross-attention nothing
    is rotated or hidden by distance: the two sequences share no positions.
    """

    def __init__(self, config: Config, head_dims: int):
        super().__init__()
        if head_dims % 2:
            raise ValueError(f"rotary: head width must be even to rotate pairs, given {head_dims}")
        if config.max_dist is not None and config.max_dist < 1:
            raise ValueError(f"rotary: max_dist must be at least 1, given {config.max_dist}")
        self.scale = head_dims**-0.5
        self.max_dist = config.max_dist
        self.base = config.base

    def position(self, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor]:
        positions = torch.arange(offset, offset + q.shape[2], device=q.device)
        cos, sin = rotations(positions, q.shape[-1], self.base)
        return rotate(q, cos, sin), rotate(k, cos, sin)

    def visible(self, T: int, S: int, device: torch.device) -> Tensor | None:
        if self.max_dist is None or self.max_dist >= S - 1:
            return None
        query = torch.arange(S - T, S, device=device)[:, None]
        return (query - torch.arange(S, device=device)).abs() <= self.max_dist

    def forward(self, q, k, v, mask, need_weights):
        return softmax_attention(q, k, v, mask, self.scale, need_weights)
