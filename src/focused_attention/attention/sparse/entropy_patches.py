"""Softmax attention to patches that end where the layer's own attention is least certain."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.segments import (
    Segments,
    cut,
    plain_rows,
    seen_frames,
    segment_attention,
)
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    quantile: float = 0.75  # of a recording's entropies: above it a patch ends
    longest: int | None = None  # frames of a patch; None: as many as it takes
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class EntropyPatchAttention(Mechanism):
    """softmax(q k̄ᵀ / √K + log n) v̄ with means k̄ and v̄ of patches, each of n frames.

    EntroPE, https://arxiv.org/abs/2509.26157, as in Sachithx/EntroPE `Patcher.py`: a patch ends at
    frame t where an entropy H_t is above its quantile, the next one starts at t + 1, and patches
    are split at `longest`. log n makes a patch of equal frames weigh what its frames would. No
    gradient flows through the boundaries; a patch passes what it gets to its frames.

    Deviation: the source's H_t is how uncertain a small frozen language model is of the next
    token. A layer has none: here H_t is the entropy of row t of its own plain attention, a mean
    over heads, at no temperature. The source's other signals are left out, and its cross-attention
    in a patch, of which the mean is what it starts from.

    Cost: B T S D multiplications for entropies and 2 B T P D for P patches, about 4 B H T (S + P)
    bytes of weights for a time (float32), of which no gradient keeps those of frames.

    >>> layer = EntropyPatchAttention(Config(), dims=32, heads=4)
    >>> layer.segments(torch.randn(1, 100, 32)).count.shape  # 25 frames end a patch
    torch.Size([1, 26])
    """

    causal = False  # a quantile is of the whole recording
    cross = False  # the other sequence has no rows of its own here
    neutral = "whisper", {"longest": 1}

    def setup(self, config):
        if not 0 <= config.quantile <= 1:
            raise ValueError(f"quantile: expected a share, 0 to 1, given {config.quantile!r}")
        checks.positive(longest=config.longest)

    def combine(self, q, k, v, view):
        segments = self.patches(q, k, view)
        return AttentionOutput(*segment_attention(q, segments.pool(k), v, segments, view))

    def patches(self, q: Tensor, k: Tensor, view: View) -> Segments:
        seen = seen_frames(self, view)
        entropies = torch.special.entr(plain_rows(self, q, k, view)).sum(dim=-1).mean(dim=1)
        of = cut(entropies, seen, self.config.quantile, self.config.longest)
        return Segments.build(of, seen)

    def segments(self, x: Tensor, mask: Tensor | None = None) -> Segments:
        """The patches that `forward` makes of the same input."""
        q, k, _ = self.project(x, None)
        return self.patches(q, k, self.view(x, None, mask, k))
