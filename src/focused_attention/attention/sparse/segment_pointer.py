"""Softmax attention that points at segments of the audio, by what they are, where and how long."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.segments import Segments, cut, seen_frames, segment_attention
from focused_attention.attention.state import KeyValueCache

WAVES = 16  # sines of a segment's centre, and as many cosines


@dataclass(kw_only=True, slots=True)
class Config:
    classes: int = 16  # of the head that classifies frames
    quantile: float = 0.75  # of a recording's entropies: above it a segment ends
    longest: int | None = None  # frames of a segment; None: as many as it takes


class SegmentPointer(Mechanism):
    """softmax(q (k̄ + e)ᵀ / √K + log n) v̄ over segments of n frames, e = W [sin c, cos c, log n].

    Reconstructed from OAT, https://arxiv.org/abs/2407.13335, whose decoder points at objects by
    what and where they are: here at segments of the audio, c being the centre of one in frames. A
    segment ends as in `entropy_patches`, where the entropy of softmax(W_E x) is above its quantile,
    W_E a small head of the layer. Its mean weighs frames by exp(−entropy), the confidence that
    Betrayed by Attention (https://arxiv.org/abs/2311.17893) weighs tokens by, and through it W_E is
    trained: no gradient flows through the boundaries. W starts at zero.

    Deviation: OAT is given its objects, its positions learn distances in an image and its pointer
    may end a scanpath; a text ends by a token. Attention to a layer's own sequence is an extension.

    Cost: B S D (C + 2) multiplications to classify, with C classes, and to pool, 2 B T P D for P
    segments and 34 B P D for their places; 4 B H T P bytes of weights (float32).

    >>> layer = SegmentPointer(Config(), dims=32, heads=4)
    >>> weights = layer(torch.randn(1, 2, 32), torch.randn(1, 100, 32), need_weights=True).weights
    >>> weights.shape, bool(weights.sum(dim=-1).allclose(torch.ones(1, 4, 2)))
    (torch.Size([1, 4, 2, 100]), True)
    """

    causal = False  # a quantile is of the whole recording
    neutral = "whisper", {"longest": 1}

    def setup(self, config):
        checks.positive(classes=config.classes, longest=config.longest)
        if not 0 <= config.quantile <= 1:
            raise ValueError(f"quantile: expected a share, 0 to 1, given {config.quantile!r}")
        self.classify = nn.Linear(self.dims, config.classes)  # W_E
        self.place = nn.Linear(2 * WAVES + 1, self.dims, bias=False)  # W
        nn.init.zeros_(self.place.weight)

    def project(self, x, xa, state=None):
        """Keys hold the entropy of their frames in one column more."""
        cached = isinstance(state, KeyValueCache)
        if cached and state.keys is not None:
            return super().project(x, xa, state)
        q, k, v = super().project(x, xa)
        logs = self.classify(x if xa is None else xa).log_softmax(dim=-1)
        entropies = -(logs.exp() * logs).sum(dim=-1).to(k.dtype)  # (B, S)
        k = torch.cat((k, entropies[:, None, :, None].expand(-1, self.heads, -1, -1)), dim=-1)
        if cached:
            state.fill(k, v)
        return q, k, v

    def combine(self, q, k, v, view):
        k, entropies = k[..., :-1], k[:, 0, :, -1]
        seen = seen_frames(self, view)
        of = cut(entropies.detach(), seen, self.config.quantile, self.config.longest)
        segments = Segments.build(of, seen, (-entropies).exp())
        keys = segments.pool(k) + self.split(self.place(self.features(segments, seen).to(k.dtype)))
        return AttentionOutput(*segment_attention(q, keys, v, segments, view))

    def features(self, segments: Segments, seen: Tensor) -> Tensor:
        """Sines and cosines of the centres of segments, and the logarithm of their durations.

        (B, P, 2 WAVES + 1); the wavelengths are 2π to 20000π frames.
        """
        frames = torch.arange(segments.of.shape[1], device=seen.device) * seen
        sums = torch.zeros_like(segments.count, dtype=torch.float64)
        sums = sums.scatter_add(1, segments.of, frames.expand_as(segments.of).double())
        count = segments.count.double().clamp(min=1)
        rates = 10000 ** -torch.linspace(0, 1, WAVES, dtype=torch.float64, device=seen.device)
        angles = (sums / count)[..., None] * rates
        return torch.cat((angles.sin(), angles.cos(), count.log()[..., None]), dim=-1)
