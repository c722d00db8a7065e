"""Softmax attention to the few keys that a linear estimate of the weights points at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.sparse._estimate import RATIO, Estimate, EstimateCache, Keys
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    k: int = 7  # keys of a query and head, in the mean over heads
    width: int = 128  # columns of the estimate, which are stretched to the keys
    estimate_loss: float = 0.0  # draws the estimate to the weights of all keys; 1: the source's
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class SeaAttention(Mechanism):
    """σ(s₂) σ(s₁) softmax of the chosen keys, and 1 - σ(s₂) of the mean of all values.

    SEA, https://arxiv.org/abs/2310.01777, as in gmlwns2000/sea-attention `perlin_attention`. A
    Performer over [position, v] and a small decoder estimate every row in `width` columns. Of a
    query's H width cells the k H width / n with the highest softmax are kept, over all heads at
    once; columns stretch to the n keys seen; softmax runs over the keys of kept cells. Only the
    gates s are trained by the task. With `estimate_loss`, in training, the estimate E is drawn to
    the layer's own weights A, all T S of them: estimate_loss (0.1 KL(A | E) + mean (E - A)²).

    Deviation: one decoder for both uses, the causal one's of the code (for encoders with rows ahead
    as behind, and without its stride of 2 rows); its columns are joined by lines, where the code
    repeats them four times, so that they tie; causal positions are sines, where the code learns
    2048; random directions are drawn once and favour none; an encoder's mean is plain, where the
    code weighs it by the estimate; the teacher is the layer itself, an option of the code, and no
    trained model. A temperature leaves the estimate alone.

    Cost: about B T (6 D K (1 + log K) + D width + 20 H² width) multiplications of the estimate and
    2 B T K max(k H, S / width) of the keys, since a query keeps a cell at least; no rows of weights
    are kept, except B H T S bytes times 30 for the loss.

    >>> layer = SeaAttention(Config(k=3), dims=32, heads=4)
    >>> layer.cells(torch.randn(2, 100, 32)).sum(dim=(1, 3)).unique()  # of a query: 4 · 128 · 3%
    tensor([15])
    """

    cross = False
    normalised = False
    neutral = "the mean of the values always has a share, which a gate learns"

    def setup(self, config):
        checks.positive(k=config.k, width=config.width)
        checks.not_negative(estimate_loss=config.estimate_loss)
        if config.width % RATIO:
            raise ValueError(f"width: expected a multiple of {RATIO}, given {config.width}")
        self.estimate = Estimate(self.heads, self.dims // self.heads, config.width)

    def new_state(self):
        return EstimateCache()

    def combine(self, q, k, v, view):
        keys, losses = Keys.of(view), {}
        scores, gates = self.estimated(q, k, v, keys, view)
        kept = self.kept(scores.detach(), keys.counts)
        share, sparse = gates[..., 1:], gates[..., :1] * gates[..., 1:]
        if self.training and self.config.estimate_loss:
            losses = {"estimate": self.distance(scores, q.detach(), k.detach(), keys, view)}
        if view.explicit or (view.mask is not None and view.mask.ndim == 3):
            seen, chosen = view.pairs(), stretched(kept, keys)
            chosen = chosen if seen is None else chosen & seen
            exact = (q * q.shape[-1] ** -0.5) @ k.mT
            exact = exact.masked_fill(~chosen, -torch.inf).softmax(-1).masked_fill(~chosen, 0.0)
            even = 1 if seen is None else seen.to(q.dtype)
            mean = (1 - share) * even / view.counts().clamp(min=1).to(q.dtype)
            return AttentionOutput(*view.read(sparse * exact + mean, v), losses)
        values = v * keys.valid[:, None, :, None]
        sums = values.cumsum(2)[:, :, view.S - view.T :] if view.causal else values.sum(2, True)
        mean = sums / keys.counts.clamp(min=1)[:, None, :, None].to(q.dtype)
        found = at_cells(q, k, v, kept, keys)
        return AttentionOutput(sparse * found + (1 - share) * mean, None, losses)

    def estimated(self, q, k, v, keys: Keys, view: View) -> tuple[Tensor, Tensor]:
        """The scores (B, H, T, width) and gates (B, H, T, 2), which no temperature changes."""
        if self.heat is not None:
            q = q * self.heat.to(q)[:, None, None]
        return self.estimate(q, k, v, keys, view)

    def kept(self, scores: Tensor, counts: Tensor) -> Tensor:
        """The cells that a query keeps of the scores (B, H, T, width), of the same shape."""
        _, H, _, W = scores.shape
        best = scores.softmax(dim=-1).transpose(1, 2).flatten(2)  # (B, T, H width)
        number = (H * W * self.config.k / counts.clamp(min=1)).round().clamp(1, H * W)
        index = best.topk(int(number.max()), dim=-1).indices
        order = torch.arange(index.shape[-1], device=index.device)
        kept = torch.zeros_like(best, dtype=torch.bool)
        kept = kept.scatter(-1, index, (order < number[..., None]).expand_as(index))
        return kept.unflatten(-1, (H, W)).transpose(1, 2)

    def distance(self, scores: Tensor, q: Tensor, k: Tensor, keys: Keys, view: View) -> Tensor:
        """How far the estimate is from the weights of all keys that a query sees."""
        exact, seen = (q * q.shape[-1] ** -0.5) @ k.mT, view.pairs()
        scores, floor = stretched(scores, keys), torch.finfo(scores.dtype).min / 2
        if seen is None:
            seen = torch.ones_like(exact[:1, :1], dtype=torch.bool)
        ours, theirs = (x.masked_fill(~seen, floor).log_softmax(-1) for x in (scores, exact))
        pairs = seen.expand_as(exact).sum().clamp(min=1)
        rows = seen.any(dim=-1).expand(exact.shape[:3]).sum().clamp(min=1)
        apart = (theirs.exp() * (theirs - ours)).masked_fill(~seen, 0.0).sum() / rows
        square = (ours.exp() - theirs.exp()).masked_fill(~seen, 0.0).square().sum() / pairs
        return self.config.estimate_loss * (0.1 * apart + square)

    def cells(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The cells (B, H, T, width) that `forward` keeps of the same input."""
        q, k, v = self.project(x, None)
        view = self.view(x, None, mask, k)
        keys = Keys.of(view)
        return self.kept(self.estimated(q, k, v, keys, view)[0], keys.counts)


def stretched(cells: Tensor, keys: Keys) -> Tensor:
    """What stands in the cells (B, H, T, W), for every key: (B, H, T, S)."""
    W, n = cells.shape[-1], keys.counts[..., None].clamp(min=1)
    column = ((2 * keys.ranks[:, None] + 1) * W - 1) // (2 * n)  # (B or 1, T or 1, S)
    return cells.gather(-1, column.clamp(max=W - 1)[:, None].expand(*cells.shape[:3], -1))


def at_cells(q: Tensor, k: Tensor, v: Tensor, kept: Tensor, keys: Keys) -> Tensor:
    """softmax attention (B, H, T, K) to the keys of kept cells, one list of pairs for all rows."""
    (B, H, T, K), S, W = q.shape, k.shape[2], kept.shape[-1]
    b, h, t, column = kept.nonzero().unbind(-1)
    n = keys.counts.expand(B, T)[b, t]
    first, end = (((2 * n * c) // W + 1) // 2 for c in (column, column + 1))  # ranks of a cell
    cell = torch.arange(len(b), device=q.device).repeat_interleave(end - first)
    rank = torch.arange(len(cell), device=q.device) - ((end - first).cumsum(0) - end)[cell]
    item = b[cell]
    places = (~keys.valid).to(torch.uint8).argsort(dim=1, stable=True).expand(B, -1)[item, rank]
    head = item * H + h[cell]
    row, key = head * T + t[cell], head * S + places
    scores = (q.reshape(-1, K)[row] * k.reshape(-1, K)[key]).sum(dim=-1) * K**-0.5
    scores = scores.to(torch.promote_types(q.dtype, torch.float32))
    top = scores.new_full((B * H * T,), -torch.inf)
    top = top.scatter_reduce(0, row, scores.detach(), "amax")
    weights = (scores - top[row]).exp()
    sums = torch.zeros_like(top).index_add(0, row, weights)
    weights = (weights / sums[row]).to(v.dtype)
    found = v.new_zeros(B * H * T, K).index_add(0, row, weights[:, None] * v.reshape(-1, K)[key])
    return found.view(B, H, T, K)
