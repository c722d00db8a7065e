"""The small network whose weights are a memory, written out.

    M(x) = x + (1 + γ) LN(gelu(x W¹) W²)

Shape alphabet: B batch, T query length, H heads, K head width, U hidden units, P = 2 K U + K
weights, N chunks of C positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = tuple[Tensor, Tensor, Tensor]  # W¹ (..., K, U), W² (..., U, K) and γ (..., 1, K)


def answer(W: Weights, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """M(x) of x (..., K); and x W¹, its gelu, LN of what follows, and what LN multiplies with."""
    W1, W2, gamma = W
    z = x @ W1
    h = F.gelu(z)
    n = h @ W2
    n = n - n.mean(dim=-1, keepdim=True)
    scale = (n.square().mean(dim=-1, keepdim=True) + 1e-5).rsqrt()
    n = n * scale
    return x + (1 + gamma) * n, (z, h, n, scale)


def gradient(W: Weights, k: Tensor, within: tuple[Tensor, ...], u: Tensor) -> Tensor:
    """Of Σ u · M(k) over the keys (..., C, K) of a chunk, packed: (..., P).

    `within` is what `answer` told besides M(k), and u (..., C, K).
    """
    _, W2, gamma = W
    z, h, n, scale = within
    of_n = (1 + gamma) * u
    of_h = scale * (of_n - of_n.mean(-1, True) - n * (of_n * n).mean(-1, True))
    of_z = torch.ops.aten.gelu_backward(of_h @ W2.mT, z)
    return packed(k.mT @ of_z, h.mT @ of_h, (u * n).sum(dim=-2, keepdim=True))


def unit(x: Tensor) -> Tensor:
    """x (..., K) at a root mean square of 1."""
    return F.rms_norm(x, x.shape[-1:], eps=1e-6)


def laid(x: Tensor, first: int, N: int, C: int) -> Tensor:
    """x (B, H, T, ·) in N chunks of C, (B, H, N, C, ·), from place `first` on; zeros around it."""
    return F.pad(x, (0, 0, first, N * C - first - x.shape[2])).unflatten(2, (N, C))


def packed(W1: Tensor, W2: Tensor, gamma: Tensor) -> Tensor:
    """(..., K, U), (..., U, K) and (..., 1, K) as one (..., P)."""
    return torch.cat([part.flatten(-2) for part in (W1, W2, gamma)], dim=-1)


def unpacked(A: Tensor, K: int) -> tuple[Tensor, Tensor, Tensor]:
    """The parts of (..., P), in the shapes that they had."""
    size = (A.shape[-1] - K) // 2
    W1, W2, gamma = A.split((size, size, K), dim=-1)
    return W1.unflatten(-1, (K, -1)), W2.unflatten(-1, (-1, K)), gamma.unflatten(-1, (1, K))
