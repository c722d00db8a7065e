"""Attention inside a sliding window on a GPU: two more ways to `windows.window_attention`.

Both take what it takes and return its output, so that any windowed mechanism can be run with them.
`flex` is FlexAttention (https://pytorch.org/blog/flexattention/): one compiled kernel, which skips
the blocks of keys that no window touches; on a CPU it has no backward. `fused` hands every window
to scaled_dot_product_attention as an item of a batch, for which its keys are copied.

Shape alphabet: B batch, H heads, T positions, K head width, n windows, w = size, W its keys.
"""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from focused_attention.attention.windows import blocks, neighbours

TILE = 128  # queries and keys of a block of FlexAttention's mask


@cache
def compiled() -> Callable:
    """FlexAttention as one kernel, anew for every shape; `torch.compiler.reset` forgets them."""
    return torch.compile(flex_attention, dynamic=False)


def tiles(
    T: int, *, size: int, before: int, after: int, device: torch.device, inside: Callable | None
) -> BlockMask:
    """The tiles of keys that the windows of a tile's queries touch, of which `inside` hides some.

    `create_block_mask` would ask `inside` for every one of T² pairs; this asks for none.
    """
    n = -(-T // TILE)
    start = torch.arange(n, device=device) * TILE  # of a tile's queries
    last = (start + TILE - 1).clamp(max=T - 1)
    first_key = ((start // size - before) * size).clamp(min=0)
    last_key = ((last // size + after + 1) * size - 1).clamp(max=T - 1)
    first = first_key // TILE
    count = (last_key // TILE - first + 1).to(torch.int32)  # (n,)
    keys = (first[:, None] + torch.arange(n, device=device)).clamp(max=n - 1)
    return BlockMask.from_kv_blocks(
        count[None, None],
        keys.to(torch.int32)[None, None],
        BLOCK_SIZE=TILE,
        mask_mod=inside,
        seq_lengths=(T, T),
    )


def flex(
    q: Tensor,  # (B, H, T, K), already scaled
    k: Tensor,  # (B, H, T, K)
    v: Tensor,  # (B, H, T, K)
    bias: Tensor | None,  # added to the scores: broadcastable to (B, H, n, w, W); -inf hides
    mask: Tensor,  # bool, broadcastable to (B, H, n, w, W); True = attend
    *,
    size: int,
    before: int,
    after: int,
) -> Tensor:
    """softmax(q kᵀ + bias) v inside each window, (B, H, T, K); rows that see nothing are zero."""
    T, W = q.shape[2], (before + 1 + after) * size

    def place(x: Tensor, b, h, i, j) -> Tensor:
        """The value of x (B, H, n, w, W) for query i and key j; one beside the window is any."""
        n = i // size
        at = b, h, n, i - n * size, (j - (n - before) * size).clamp(0, W - 1)
        return x[tuple(index * (length > 1) for index, length in zip(at, x.shape, strict=True))]

    def inside(b, h, i, j) -> Tensor:
        gap = j // size - i // size
        return (gap >= -before) & (gap <= after) & place(mask, b, h, i, j)

    def score(value, b, h, i, j) -> Tensor:
        return value + place(bias, b, h, i, j)

    mask = mask.expand(*(1,) * (5 - mask.ndim), *mask.shape)
    if bias is not None:
        bias = bias.expand(*(1,) * (5 - bias.ndim), *bias.shape)
    geometry = {"size": size, "before": before, "after": after, "device": q.device}
    shape = tiles(T, **geometry, inside=inside)
    attend, added = compiled() if q.is_cuda else flex_attention, None if bias is None else score
    return attend(q, k.to(q.dtype), v.to(q.dtype), added, shape, scale=1.0)


def fused(
    q: Tensor,  # (B, H, T, K), already scaled
    k: Tensor,  # (B, H, T, K)
    v: Tensor,  # (B, H, T, K)
    bias: Tensor | None,  # added to the scores: broadcastable to (B, H, n, w, W); -inf hides
    mask: Tensor,  # bool, broadcastable to (B, H, n, w, W); True = attend
    *,
    size: int,
    before: int,
    after: int,
) -> Tensor:
    """softmax(q kᵀ + bias) v inside each window, (B, H, T, K); rows that see nothing are zero."""
    B, H, T, _ = q.shape
    q = blocks(q, size).flatten(0, 1)  # (B H, n, w, K)
    keys, values = (
        neighbours(blocks(x.to(q.dtype), size), before, after).flatten(0, 1) for x in (k, v)
    )
    if bias is not None:
        mask = mask & (bias > -torch.inf)
    seen = mask.any(dim=-1, keepdim=True)  # rows that see nothing attend to all, then are zero
    added = torch.zeros((), dtype=q.dtype, device=q.device) if bias is None else bias.to(q.dtype)
    added = torch.where(mask, added, -torch.inf).masked_fill(~seen, 0.0)
    n, w = q.shape[1:3]
    added = added.expand(B, H, n, w, keys.shape[2]).flatten(0, 1)
    out = F.scaled_dot_product_attention(q, keys, values, attn_mask=added, scale=1.0)
    out = out.unflatten(0, (B, H)).masked_fill(~seen, 0.0)
    return out.flatten(2, 3)[:, :, :T]
