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


def neighbours(x: Tensor, before: int, after: int) -> Tensor:
    """The keys (..., n, W, K) that each block sees of (..., n, w, K); zeros outside."""
    n = x.shape[-3]
    x = F.pad(x, (0, 0, 0, 0, before, after))
    return torch.cat([x[..., i : i + n, :, :] for i in range(before + 1 + after)], dim=-2)


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


CACHED = 2**18  # scores that a piece of the work keeps at once: about what a core's cache holds


def pieces(rows: int, scores: int, device: torch.device) -> list[slice]:
    """Cut the B * H rows of so many scores each into pieces: small on a CPU, one elsewhere."""
    step = max(1, CACHED // scores) if device.type == "cpu" else rows
    return [slice(i, min(i + step, rows)) for i in range(0, rows, step)]


def pick(x: Tensor, rows: slice, H: int) -> Tensor:
    """The given rows of the B * H that x (B or 1, H or 1, ...) is broadcast to, or one for all."""
    index = torch.arange(rows.start, rows.stop, device=x.device)
    if x.shape[0] == x.shape[1] == 1:
        return x[0]
    return x[index // H if x.shape[0] > 1 else 0, index % H if x.shape[1] > 1 else 0]


def shifted(x: Tensor, W: int) -> Tensor:
    """The overlapping windows of W positions of x (N, m, w, K), (N n, W, K): a view where N is 1.

    n = m - W / w + 1; bmm reads an overlapping view without a copy, which matmul would make.
    """
    N, m, w, K = x.shape
    n = m - W // w + 1
    x = x.contiguous()
    return x.as_strided((N, n, W, K), (x.stride(0), w * K, K, 1), x.storage_offset()).flatten(0, 1)


def overlap_add(total: Tensor, x: Tensor) -> None:
    """The adjoint of `shifted`: add x (N n, W, K) to total (N, m, w, K)."""
    N, m, w, _ = total.shape
    shifts = x.shape[1] // w
    n = m - shifts + 1
    x = x.unflatten(0, (N, n)).unflatten(2, (shifts, w))
    for i in range(shifts):
        total[:, i : i + n] += x[:, :, i]


class WindowAttention(torch.autograd.Function):
    """softmax(q kᵀ + bias) v in every window, with the gradient written out.

    Written out because autograd would keep three copies of the scores and add the gradients of the
    overlapping keys into zeros once for every slice; this keeps the weights alone, and works in
    pieces that stay in the cache. Not differentiable twice.
    """

    @staticmethod
    def forward(ctx, q, k, v, bias, mask, size, before, after):
        B, H, T, _ = q.shape
        W, fill = (before + 1 + after) * size, -T % size
        floor = torch.finfo(q.dtype).min / 4  # finite, so that a row that sees nothing is no NaN
        kind = None if bias is None else (bias.shape, bias.dtype)
        if bias is not None:
            bias = bias.to(q.dtype).clamp(min=2 * floor)
        around = (0, 0, before * size, after * size + fill)
        with torch.autocast(q.device.type, enabled=False):
            q = blocks(q, size).flatten(0, 1)  # (N, n, w, K), N = B H
            k, v = (blocks(F.pad(x, around), size).flatten(0, 1) for x in (k, v))  # (N, m, w, K)
            n, kept = q.shape[1], []
            out = q.new_empty(*q.shape[:3], v.shape[-1])
            for rows in pieces(B * H, n * size * W, q.device):
                scores = torch.bmm(q[rows].flatten(0, 1), shifted(k[rows], W).mT)
                each = scores.unflatten(0, (-1, n))  # (rows, n, w, W)
                if bias is not None:
                    each.add_(pick(bias, rows, H))
                each.masked_fill_(~pick(mask, rows, H), 2 * floor)
                seen = scores.amax(dim=-1, keepdim=True) > floor
                weights = torch.softmax(scores, dim=-1)
                result = torch.bmm(weights, shifted(v[rows], W)).mul_(seen)
                out[rows] = result.unflatten(0, (-1, n))
                kept += [weights, seen]
        ctx.save_for_backward(q, k, v, out, *kept)
        ctx.window, ctx.shape, ctx.kind = (size, before, W), (B, H, T), kind
        return out.unflatten(0, (B, H)).flatten(2, 3)[:, :, :T]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        q, k, v, out, *kept = ctx.saved_tensors
        size, before, W = ctx.window
        B, H, T = ctx.shape
        n = q.shape[1]
        with torch.autocast(q.device.type, enabled=False):
            grad = blocks(grad, size).flatten(0, 1)  # (N, n, w, K)
            grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
            grad_bias = None
            if ctx.needs_input_grad[3]:
                grad_bias = q.new_empty(B * H, *ctx.kind[0][2:])
            for i, rows in enumerate(pieces(B * H, n * size * W, q.device)):
                weights, seen = kept[2 * i : 2 * i + 2]
                given = grad[rows].flatten(0, 1) * seen  # (rows n, w, K)
                overlap_add(grad_v[rows], torch.bmm(weights.mT, given))
                scores = torch.bmm(given, shifted(v[rows], W).mT)  # d loss / d scores, from here
                own = (given * out[rows].flatten(0, 1)).sum(dim=-1, keepdim=True)
                scores.sub_(own).mul_(weights)
                grad_q[rows] = torch.bmm(scores, shifted(k[rows], W)).unflatten(0, (-1, n))
                overlap_add(grad_k[rows], torch.bmm(scores.mT, q[rows].flatten(0, 1)))
                if grad_bias is not None:
                    each = scores.unflatten(0, (-1, n))
                    grad_bias[rows] = each.sum_to_size(len(each), *grad_bias.shape[1:])
        if grad_bias is not None:
            shape, dtype = ctx.kind
            grad_bias = grad_bias.unflatten(0, (B, H)).sum_to_size(shape).to(dtype)
        first = before * size
        grad_q = grad_q.unflatten(0, (B, H)).flatten(2, 3)[:, :, :T]
        grad_k, grad_v = (
            x.unflatten(0, (B, H)).flatten(2, 3)[:, :, first : first + T] for x in (grad_k, grad_v)
        )
        return grad_q, grad_k, grad_v, grad_bias, *(None,) * 4


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
    T = q.shape[2]
    if not dropout and not need_weights and factors is None:
        if bias is not None:
            bias = bias.expand(*(1,) * (5 - bias.ndim), *bias.shape)
        return WindowAttention.apply(q, k, v, bias, mask, size, before, after), None
    q, k, v = (blocks(x, size) for x in (q, k, v))  # (B, H, n, w, K)
    queries, keys = q, neighbours(k, before, after)
    if factors is not None:
        queries, keys = queries * factors[0], keys * factors[1]
    scores = queries @ keys.transpose(-1, -2)
    if bias is not None:
        mask = mask & (bias > -torch.inf)
        scores = scores + bias
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1).masked_fill(~mask, 0.0)
    out = F.dropout(weights, dropout) @ neighbours(v, before, after)
    return out.flatten(2, 3)[:, :, :T], dense(weights, before, T) if need_weights else None


def dense(weights: Tensor, before: int, T: int) -> Tensor:
    """Weights of the blocks (B, H, n, w, W) as a matrix (B, H, T, T), zero outside the windows."""
    B, H, n, w, W = weights.shape
    first = torch.arange(n, device=weights.device)[:, None] * w  # of a block's keys, padded
    column = (first + torch.arange(W, device=weights.device))[:, None].expand(n, w, W)
    full = weights.new_zeros(B, H, n, w, n * w + W - w)
    full = full.scatter(-1, column.expand_as(weights), weights)
    return full.flatten(2, 3)[:, :, :T, before * w : before * w + T]
