"""Attention inside a sliding window, in blocks: time and memory grow with T, not with T².

A sequence of T positions is cut into n blocks of `size`. The queries of a block see their own
block, `before` blocks of keys to its left and `after` to its right, so that every query sees at
least `before * size` positions back and `after * size` ahead; a bias and a mask narrow that down.

             keys   | block 0 | block 1 | block 2 | block 3 |
    queries of 2              [ before 1 |  own   | after 1 ]      W = (before + 1 + after) * size

Shape alphabet: B batch, H heads, T positions, K head width, n blocks, w = size, W keys of a block.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def blocks(x: Tensor, size: int, dim: int = 2) -> Tensor:
    """Cut axis `dim` (T) into (n, size), the last block filled with zeros (False)."""
    dim = dim % x.ndim
    fill = -x.shape[dim] % size
    if fill:
        x = F.pad(x, (0, 0) * (x.ndim - 1 - dim) + (0, fill))
    return x.unflatten(dim, (-1, size))


def neighbours(x: Tensor, size: int, before: int, after: int) -> Tensor:
    """The keys (B, H, n, W, K) that each block sees of (B, H, T, K); zeros outside."""
    fill = -x.shape[2] % size
    x = F.pad(x, (0, 0, before * size, after * size + fill))
    return x.unfold(2, (before + 1 + after) * size, size).transpose(-1, -2)


def overlap_add(x: Tensor, size: int, before: int, T: int) -> Tensor:
    """The adjoint of `neighbours`: sum (B, H, n, W, K) into (B, H, T, K)."""
    B, H, n, W, K = x.shape
    total = x.new_zeros(B, H, n + W // size - 1, size, K)
    for shift in range(W // size):
        total[:, :, shift : shift + n] += x[:, :, :, shift * size : (shift + 1) * size]
    return total.flatten(2, 3)[:, :, before * size : before * size + T]


def key_positions(T: int, size: int, before: int, after: int, device: torch.device) -> Tensor:
    """The position of every key that a block sees, (n, W); outside 0..T-1 there is no key."""
    first = torch.arange(0, T, size, device=device)[:, None] - before * size
    return first + torch.arange((before + 1 + after) * size, device=device)


def distances(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Query position minus key position inside a block, (w, W): positive looks back."""
    query = torch.arange(size, device=device)[:, None] + before * size
    return query - torch.arange((before + 1 + after) * size, device=device)


def visible(mask: Tensor | None, T: int, size: int, before: int, after: int, device) -> Tensor:
    """Where a block's key exists and is not masked: bool (B or 1, 1, n, w or 1, W).

    mask: None, keys (B, T) or pairs (B, T, T); True = attend.
    """
    keys = key_positions(T, size, before, after, device)  # (n, W)
    exists = (keys >= 0) & (keys < T)
    keys = keys.clamp(0, T - 1)
    if mask is None:
        return exists[None, None, :, None]
    if mask.ndim == 2:
        return (mask[:, keys] & exists)[:, None, :, None]
    n, w = keys.shape[0], size
    queries = torch.arange(n * w, device=device).clamp(max=T - 1).unflatten(0, (n, w))
    return (mask[:, queries[:, :, None], keys[:, None, :]] & exists[:, None])[:, None]


class WindowAttention(torch.autograd.Function):
    """softmax(q kᵀ + bias) v in every window, with the gradient written out.

    Written out because autograd would keep three copies of the scores and add the gradients of the
    overlapping keys into zeros once for every slice; this keeps the weights alone.
    Not differentiable twice.
    """

    @staticmethod
    def forward(ctx, q, k, v, bias, mask, size, before, after):
        floor = torch.finfo(q.dtype).min / 4  # finite, so that a row that sees nothing is no NaN
        with torch.autocast(q.device.type, enabled=False):
            queries = blocks(q, size)  # (B, H, n, w, K)
            scores = queries @ neighbours(k, size, before, after).transpose(-1, -2)
            if bias is not None:
                scores.add_(bias.to(q.dtype).clamp(min=2 * floor))
            scores.masked_fill_(~mask, 2 * floor)
            seen = scores.amax(dim=-1, keepdim=True) > floor  # (B, H, n, w, 1)
            weights = torch.softmax(scores, dim=-1)
            out = (weights @ neighbours(v, size, before, after)).mul_(seen)
        ctx.save_for_backward(q, k, v, weights, out, seen)
        ctx.window = size, before, after
        ctx.bias = None if bias is None else (bias.shape, bias.dtype)
        return out.flatten(2, 3)[:, :, : q.shape[2]]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        q, k, v, weights, out, seen = ctx.saved_tensors
        size, before, after = ctx.window
        T = q.shape[2]
        with torch.autocast(q.device.type, enabled=False):
            grad = blocks(grad, size) * seen  # (B, H, n, w, K)
            grad_v = weights.transpose(-1, -2) @ grad
            scores = grad @ neighbours(v, size, before, after).transpose(-1, -2)
            scores.sub_((grad * out).sum(dim=-1, keepdim=True)).mul_(weights)  # d loss / d scores
            grad_q = (scores @ neighbours(k, size, before, after)).flatten(2, 3)[:, :, :T]
            grad_k = scores.transpose(-1, -2) @ blocks(q, size)
            grad_bias = None
            if ctx.needs_input_grad[3]:
                shape, dtype = ctx.bias
                grad_bias = scores.sum_to_size(shape).to(dtype)
        return (
            grad_q,
            overlap_add(grad_k, size, before, T),
            overlap_add(grad_v, size, before, T),
            grad_bias,
            *(None,) * 4,
        )


def window_attention(
    q: Tensor,  # (B, H, T, K), already scaled
    k: Tensor,  # (B, H, T, K)
    v: Tensor,  # (B, H, T, K)
    bias: Tensor | None,  # added to the scores: broadcastable to (B, H, n, w, W); -inf hides
    mask: Tensor,  # bool, broadcastable to (B, H, n, w, W); True = attend
    *,
    size: int,
    before: int,
    after: int,
    dropout: float = 0.0,
    need_weights: bool = False,
    factors: tuple[Tensor, Tensor] | None = None,  # of a block's queries (w, K) and keys (W, K)
) -> tuple[Tensor, Tensor | None]:
    """softmax(q kᵀ + bias) v inside each window, (B, H, T, K); rows that see nothing are zero.

    On request also the weights (B, H, T, T), which cost T² memory.
    """
    if not dropout and not need_weights and factors is None:
        return WindowAttention.apply(q, k, v, bias, mask, size, before, after), None
    queries, keys = blocks(q, size), neighbours(k, size, before, after)
    if factors is not None:
        queries, keys = queries * factors[0], keys * factors[1]
    scores = queries @ keys.transpose(-1, -2)
    if bias is not None:
        mask = mask & (bias > -torch.inf)
        scores = scores + bias
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1).masked_fill(~mask, 0.0)
    out = F.dropout(weights, dropout) @ neighbours(v, size, before, after)
    T = q.shape[2]
    return out.flatten(2, 3)[:, :, :T], dense(weights, before, T) if need_weights else None


def dense(weights: Tensor, before: int, T: int) -> Tensor:
    """Weights of the blocks (B, H, n, w, W) as a matrix (B, H, T, T), zero outside the windows."""
    B, H, n, w, W = weights.shape
    first = torch.arange(n, device=weights.device)[:, None] * w  # of a block's keys, padded
    column = (first + torch.arange(W, device=weights.device))[:, None].expand(n, w, W)
    full = weights.new_zeros(B, H, n, w, n * w + W - w)
    full = full.scatter(-1, column.expand_as(weights), weights)
    return full.flatten(2, 3)[:, :, :T, before * w : before * w + T]
