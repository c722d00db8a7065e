"""Attention inside a sliding window, in blocks: time and memory grow with T, not with T².

A sequence of T positions is cut into n blocks of `size`. The queries of a block see their own
block, `before` blocks of keys to its left and `after` to its right, so that every query sees at
least `before * size` positions back and `after * size` ahead; a bias and a mask narrow that down.

             keys   | block 0 | block 1 | block 2 | block 3 |
    queries of 2              [ before 1 |  own   | after 1 ]      W = (before + 1 + after) * size

Shape alphabet: B batch, H heads, T positions, K head width, n blocks, w = size, W keys of a block.
"""

from dataclasses import dataclass

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


CACHED = 2**20  # scores that a piece of the work keeps at once: about what a core's cache holds


@dataclass(frozen=True, slots=True)
class Tape:
    """Where the blocks of all B * H rows stand on one long tape of blocks, (m N + edge, w, K).

    Row r has its n blocks at r m + before; the gap to the next row is zero. A window is then W
    positions of the tape from any block on, so that all windows are one overlapping view, which
    bmm reads without a copy. m - n windows of a row start in the gap and are masked.
    """

    N: int  # rows: B * H
    T: int
    size: int
    before: int
    after: int

    @property
    def n(self) -> int:  # blocks of a row
        return -(-self.T // self.size)

    @property
    def m(self) -> int:  # blocks from one row to the next
        return self.n + max(self.before, self.after)

    @property
    def edge(self) -> int:
        return self.before + self.after

    def pieces(self, device: torch.device) -> list[tuple[slice, slice]]:
        """Rows and their windows, in pieces: cache-sized on a CPU, one elsewhere."""
        scores = self.m * self.size * (self.edge + 1) * self.size
        step = max(1, CACHED // scores) if device.type == "cpu" else self.N
        rows = [slice(i, min(i + step, self.N)) for i in range(0, self.N, step)]
        return [(r, slice(r.start * self.m, r.stop * self.m)) for r in rows]

    def write(self, x: Tensor, first: int) -> Tensor:
        """x (B, H, T, K) on a tape, row r from block r m + first on."""
        tape = x.new_zeros(self.N * self.m + self.edge, self.size, x.shape[-1])
        self.read(tape, first).copy_(x.flatten(0, 1))
        return tape

    def read(self, tape: Tensor, first: int) -> Tensor:
        """The rows (N, T, K) of a tape, a view."""
        K, start = tape.shape[-1], first * self.size * tape.shape[-1]
        return tape.as_strided((self.N, self.T, K), (self.m * self.size * K, K, 1), start)

    def windows(self, tape: Tensor, of: slice) -> Tensor:
        """The keys of some windows, (windows, W, K), an overlapping view."""
        w, K = tape.shape[1:]
        shape = of.stop - of.start, (self.edge + 1) * w, K
        return tape.as_strided(shape, (w * K, K, 1), of.start * w * K)

    def add(self, tape: Tensor, x: Tensor, of: slice) -> None:
        """The adjoint of `windows`: add x (windows, W, K) to the tape."""
        for i in range(self.edge + 1):
            tape[of.start + i : of.stop + i] += x[:, i * self.size : (i + 1) * self.size]


def pick(x: Tensor, rows: slice, H: int) -> Tensor:
    """The given rows of the B * H that x (B or 1, H or 1, ...) is broadcast to, or one for all."""
    index = torch.arange(rows.start, rows.stop, device=x.device)
    if x.shape[0] == x.shape[1] == 1:
        return x[0]
    return x[index // H if x.shape[0] > 1 else 0, index % H if x.shape[1] > 1 else 0]


def with_gaps(x: Tensor, m: int) -> Tensor:
    """Lengthen axis n of x (B, H, n, w, W) to m with zeros (False), unless it is broadcast."""
    return x if x.shape[2] == 1 < m else F.pad(x, (0, 0, 0, 0, 0, m - x.shape[2]))


class WindowAttention(torch.autograd.Function):
    """softmax(q kᵀ + bias) v in every window, with the gradient written out.

    Written out because autograd would keep three copies of the scores and add the gradients of the
    overlapping keys into zeros once for every slice; this keeps the weights alone, and works in
    pieces that stay in the cache. Not differentiable twice.
    """

    @staticmethod
    def forward(ctx, q, k, v, bias, mask, size, before, after):
        B, H, T, _ = q.shape
        tape = Tape(B * H, T, size, before, after)
        floor = torch.finfo(q.dtype).min / 4  # finite, so that a row that sees nothing is no NaN
        kind = None if bias is None else (bias.shape, bias.dtype)
        if bias is not None:
            bias = with_gaps(bias.to(q.dtype).clamp(min=2 * floor), tape.m)
        exists = torch.arange(tape.m, device=q.device) < tape.n
        hidden = ~(with_gaps(mask, tape.m) & exists[:, None, None])
        with torch.autocast(q.device.type, enabled=False):
            q, k, v = tape.write(q, 0), tape.write(k, before), tape.write(v, before)
            out, kept = torch.empty_like(v), []
            for rows, of in tape.pieces(q.device):
                scores = torch.bmm(q[of], tape.windows(k, of).mT)  # (windows, w, W)
                each = scores.unflatten(0, (-1, tape.m))  # (rows, m, w, W)
                if bias is not None:
                    each.add_(pick(bias, rows, H))
                each.masked_fill_(pick(hidden, rows, H), 2 * floor)
                seen = (scores.amax(dim=-1, keepdim=True) > floor).to(scores.dtype)
                weights = torch.softmax(scores, dim=-1)
                torch.bmm(weights, tape.windows(v, of), out=out[of])
                out[of] *= seen
                kept += [weights, seen]
        ctx.save_for_backward(q, k, v, out, *kept)
        ctx.tape, ctx.shape, ctx.kind = tape, (B, H), kind
        return tape.read(out, 0).unflatten(0, (B, H))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        q, k, v, out, *kept = ctx.saved_tensors
        tape, kind = ctx.tape, ctx.kind
        with torch.autocast(q.device.type, enabled=False):
            grad = tape.write(grad, 0)
            grads = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
            grad_bias = None
            if ctx.needs_input_grad[3]:
                grad_bias = q.new_empty(tape.N, *kind[0][2:])
            for i, (rows, of) in enumerate(tape.pieces(q.device)):
                weights, seen = kept[2 * i : 2 * i + 2]
                given = grad[of] * seen
                tape.add(grads[2], torch.bmm(weights.mT, given), of)
                scores = torch.bmm(given, tape.windows(v, of).mT)  # d loss / d scores, from here
                scores.sub_((given * out[of]).sum(dim=-1, keepdim=True)).mul_(weights)
                torch.bmm(scores, tape.windows(k, of), out=grads[0][of])
                tape.add(grads[1], torch.bmm(scores.mT, q[of]), of)
                if grad_bias is not None:
                    each = scores.unflatten(0, (-1, tape.m))[:, : tape.n]
                    grad_bias[rows] = each.sum_to_size(len(each), *grad_bias.shape[1:])
        if grad_bias is not None:
            grad_bias = grad_bias.unflatten(0, ctx.shape).sum_to_size(kind[0]).to(kind[1])
        firsts = (0, tape.before, tape.before)
        grads = (
            tape.read(x, i).unflatten(0, ctx.shape) for x, i in zip(grads, firsts, strict=True)
        )
        return *grads, grad_bias, *(None,) * 4


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
    T, k, v = q.shape[2], k.to(q.dtype), v.to(q.dtype)
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
