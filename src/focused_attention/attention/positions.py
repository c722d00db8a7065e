"""Rotary positions (RoPE), https://arxiv.org/abs/2104.09864."""

import torch
from torch import Tensor


def rotations(positions: Tensor, head_dims: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position and frequency, (T, K / 2) each.

    The angles are taken in double precision: at position 10,000 single precision is 1e-3 off.
    """
    exponents = torch.arange(0, head_dims, 2, device=positions.device, dtype=torch.float64)
    angles = positions[:, None] * base ** (-exponents / head_dims)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the halves of the last axis: x (..., T, K), cos and sin (T, K / 2)."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
