"""The projections of the mechanisms that own their forward: x to q, k, v, rotated and cached."""

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import KeyValueCache, Mechanism
from focused_attention.attention.positions import rotate, rotations


class ProjectedAttention(Mechanism):
    """Query, key and value projections named as in Whisper (the key has no bias), and input checks.

    `base` rotates queries and keys of self-attention by their positions; None leaves them.
    """

    def __init__(self, dims: int, heads: int, *, causal: bool, base: float | None = None):
        super().__init__()
        checks.heads_divide(dims, heads, even=base is not None)
        checks.positive(base=base)
        self.dims, self.heads, self.is_causal, self.base = dims, heads, causal, base
        self.query = nn.Linear(dims, dims)
        self.key = nn.Linear(dims, dims, bias=False)
        self.value = nn.Linear(dims, dims)

    def check(self, x: Tensor, xa: Tensor | None) -> None:
        """Raise ValueError for a wrong width, an empty sequence or a wrong device."""
        device = self.query.weight.device
        checks.sequence("x", x, self.dims, device)
        if xa is not None:
            if not self.cross:
                raise ValueError(
                    f"xa: expected None ({type(self).__name__} attends to its own sequence), "
                    f"given {tuple(xa.shape)}"
                )
            checks.sequence("xa", xa, self.dims, device)
            if xa.shape[0] != x.shape[0]:
                raise ValueError(f"xa: expected a batch of {x.shape[0]}, given {xa.shape[0]}")

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, K)

    def project(
        self,
        x: Tensor,  # (B, T, D)
        xa: Tensor | None,  # (B, S, D)
        mask: Tensor | None,
        cache: KeyValueCache | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """q (B, H, T, K), k and v (B, H, S, K): rotated, and with what the cache holds."""
        self.check(x, xa)
        q = self.split(self.query(x))
        if xa is not None and cache is not None and cache.keys is not None:
            k, v = cache.keys, cache.values
        else:
            source = x if xa is None else xa
            k, v = self.split(self.key(source)), self.split(self.value(source))
            if xa is None:
                q, k = self.position(q, k, cache.length if cache is not None else 0)
                if cache is not None:
                    k, v = cache.append(k, v)
            elif cache is not None:
                cache.fill(k, v)
        if mask is not None:
            checks.key_mask(mask, x.shape[0], q.shape[2], k.shape[2], x.device)
        return q, k, v

    def position(self, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor]:
        """Rotate by position; the first of the T positions is `offset`."""
        if self.base is None:
            return q, k
        positions = torch.arange(offset, offset + q.shape[2], device=q.device)
        cos, sin = rotations(positions, q.shape[-1], self.base)
        return rotate(q, cos, sin), rotate(k, cos, sin)
