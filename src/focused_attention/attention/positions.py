"""Rotary positions (RoPE), https://arxiv.org/abs/2104.09864."""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)  # the layers of a model ask for the same ones
@torch.inference_mode(mode=False)  # what decoding made, training may use
def rotations(
    first: int, count: int, head_dims: int, base: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every frequency at positions first, first + 1, ..., (count, K / 2) each.

    The angles are taken in double precision: at position 10,000 single precision is 1e-3 off.
    """
    exponents = torch.arange(0, head_dims, 2, device=device, dtype=torch.float64)
    positions = torch.arange(first, first + count, device=device)
    angles = positions[:, None] * base ** (-exponents / head_dims)
    return angles.cos().to(dtype), angles.sin().to(dtype)


class Rotation(torch.autograd.Function):
    """The halves (a, b) of the last axis become (a cos - b sin, a sin + b cos).

    Written in place of its parts, without the copies that the same in tensor operations makes: half
    of its time. The gradient is rotated back.
    """

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        a, b = x.chunk(2, dim=-1)
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        first, second = out.chunk(2, dim=-1)
        torch.mul(a, cos, out=first).addcmul_(b, sin, value=-1)
        torch.mul(a, sin, out=second).addcmul_(b, cos)
        return out

    @staticmethod
    def backward(ctx, grad):
        cos, sin = ctx.saved_tensors
        return Rotation.apply(grad, cos, -sin), None, None


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the halves of the last axis: x (..., T, K), cos and sin (T, K / 2)."""
    return Rotation.apply(x, cos.to(x.dtype), sin.to(x.dtype))
