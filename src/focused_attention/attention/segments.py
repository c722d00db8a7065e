"""Segments: frames that belong together, pooled into one key and one value each.

Where segments begin and end is a hard decision, through which no gradient flows: the pooled keys
and values pass it on to their frames.

Shape alphabet: B batch, T query length, S key length, H heads, K head width, P segments.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention.base import Mechanism, UnsuitedError
from focused_attention.attention.view import View


@dataclass(frozen=True, slots=True)
class Segments:
    """Which segment every frame is in; a hidden frame has no share in any."""

    of: Tensor  # (B, S), from 0 on
    share: Tensor  # (B, S), of a frame in its segment: 1 together, of hidden frames 0
    count: Tensor  # (B, P), the frames of a segment that are seen; 0: there is no such segment

    @classmethod
    def build(cls, of: Tensor, seen: Tensor, weights: Tensor | None = None) -> "Segments":
        """Frames in segments `of` (B, S), with shares in proportion to weights (B, S) or equal."""
        P = int(of.max()) + 1
        seen = seen.to(torch.float64 if weights is None else weights.dtype).expand(of.shape)
        weights = seen if weights is None else weights * seen
        empty = weights.new_zeros(len(of), P)
        totals = empty.scatter_add(1, of, weights).gather(1, of)
        share = weights / totals.where(totals > 0, 1)
        return cls(of, share, empty.detach().scatter_add(1, of, seen))

    def pool(self, x: Tensor) -> Tensor:
        """The weighted means (B, H, P, K) of frames x (B, H, S, K)."""
        of = self.of[:, None, :, None].expand_as(x)
        pooled = x.new_zeros(*x.shape[:2], self.count.shape[1], x.shape[3])
        return pooled.scatter_add(2, of, x * self.share[:, None, :, None].to(x.dtype))

    def spread(self, weights: Tensor) -> Tensor:
        """The weights of frames (B, H, T, S) that those of their segments (B, H, T, P) are."""
        frames = weights.take_along_dim(self.of[:, None, None], dim=3)
        return frames * self.share[:, None, None].to(weights.dtype)


def seen_frames(module: Mechanism, view: View) -> Tensor:
    """The keys that are no padding, (B or 1, S) bool. Raises UnsuitedError for a mask of pairs."""
    if view.mask is None:
        return torch.ones(1, view.S, dtype=torch.bool, device=view.x.device)
    if view.mask.ndim == 3:
        raise UnsuitedError(
            f"{type(module).__name__} takes no mask of pairs: all queries share its segments"
        )
    return view.mask


def cut(levels: Tensor, seen: Tensor, quantile: float, longest: int | None) -> Tensor:
    """The segment (B, S) of every frame: one ends where a level (B, S) exceeds the item's quantile.

    A segment of more than `longest` frames is cut after as many. Hidden frames do not count.

    >>> levels = torch.tensor([[0.0, 0.9, 0.1, 0.2, 0.3, 0.1, 0.8, 0.2]])
    >>> cut(levels, levels >= 0, 0.75, longest=3)
    tensor([[0, 0, 1, 1, 1, 2, 2, 3]])
    """
    seen = seen.expand(levels.shape)
    threshold = levels.double().masked_fill(~seen, torch.nan).nanquantile(quantile, 1, True)
    ends = seen & (levels > threshold)
    turn = seen.cumsum(dim=1)  # 1, 2, ... of the frames that are seen
    last = F.pad((turn * ends).cummax(dim=1).values[:, :-1], (1, 0))  # of the segment before
    within = turn - last - 1
    starts = within == 0 if longest is None else within % longest == 0
    return ((starts & seen).cumsum(dim=1) - 1).clamp(min=0)


def plain_rows(module: Mechanism, q: Tensor, k: Tensor, view: View) -> Tensor:
    """Rows of plain attention (B, H, T, S) at no temperature, for decisions: without gradients."""
    with torch.no_grad():
        if module.heat is not None:
            q = q * module.heat.to(q)[:, None, None]
        scores, seen = (q * q.shape[-1] ** -0.5) @ k.mT, view.pairs()
        if seen is None:
            return scores.softmax(dim=-1)
        return scores.masked_fill(~seen, -torch.inf).softmax(dim=-1).masked_fill(~seen, 0.0)


def segment_attention(
    q: Tensor, k: Tensor, v: Tensor, segments: Segments, view: View
) -> tuple[Tensor, Tensor | None]:
    """softmax(q k̄ᵀ / √K + log n) v̄ of segments of n frames: as if each frame were its segment.

    q (B, H, T, K), pooled keys k (B, H, P, K), values v (B, H, S, K) of frames. Returns
    (B, H, T, K) and, if the view needs them, the weights of frames (B, H, T, S).
    """
    exists, scale = segments.count > 0, q.shape[-1] ** -0.5
    any_seen = exists.any(dim=1)[:, None, None, None]
    size = segments.count.log()[:, None, None].where(any_seen, 0.0).to(q.dtype)  # (B, 1, 1, P)
    if view.explicit:
        weights = ((q * scale) @ k.mT + size).softmax(dim=-1)
        return view.read(segments.spread(weights), v)
    size = size.expand(-1, -1, q.shape[2], -1)
    out = F.scaled_dot_product_attention(q, k, segments.pool(v), attn_mask=size, scale=scale)
    return out.masked_fill(~any_seen, 0.0), None
