"""A span that every head learns as a number, with a price on its length."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.focus import Focus, Spans
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    max_span: int = 1024  # z_max: the longest span, in keys either side
    ramp: int = 32  # R: keys over which the soft mask falls from 1 to 0
    start: float = 0.0  # c at the start: the span as a share of the longest
    price: float = 2e-6  # λ: of a key more of mean span, in training
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class LearnedSpanAttention(Mechanism):
    """a = m exp(q kᵀ / √K) / Σ m exp(q kᵀ / √K), m = clamp((R + z − |i − j|) / R, 0, 1).

    https://arxiv.org/abs/1905.07799, as in facebookresearch/adaptive-span: z = z_max c, with c in
    [0, 1] one learned number a head. In training, the loss is λ z_max mean c in every layer. λ is
    that of their scripts at z_max 1024 (5e-7 at 8192), where their code's default is 0. Unlike
    `focused`, no input moves a span, and unlike `adaptive_span_published`, it is learned.

    Deviation: the released model leaves a query's own position out and counts from the one before;
    here that has distance 0. It has no keys beyond z_max, which the ramp reaches here. Its 1e-8 in
    the denominator, which takes from rows whose mass is outside of the span, is left out. Positions
    are the model's or RoPE. Both sides and cross-attention are extensions; in the latter distances
    are from where the head looks on average without a span.

    Cost: 2 B T S D multiplications and 4 B H T S bytes of weights, as in plain attention; with 3w
    for S (2w if causal) in self-attention longer than that, w = R + the longest learned span.

    >>> layer = LearnedSpanAttention(Config(start=0.25), dims=32, heads=4)
    >>> output = layer(torch.randn(2, 100, 32))
    >>> layer.span.tolist(), round(output.losses["span"].item(), 6)
    ([256.0, 256.0, 256.0, 256.0], 0.000512)
    """

    neutral = "whisper", {"max_span": 10**6, "start": 1.0}

    soft_mask, windowed = Focus.soft_mask, Focus.windowed  # the same arithmetic

    def setup(self, config):
        checks.positive(max_span=config.max_span, ramp=config.ramp)
        checks.not_negative(price=config.price)
        if not 0 <= config.start <= 1:
            raise ValueError(f"start: expected a share, 0 to 1, given {config.start!r}")
        self.share = nn.Parameter(torch.full((self.heads,), float(config.start)))  # c

    @property
    def span(self) -> Tensor:
        """z of every head, (H,)."""
        with torch.no_grad():
            self.share.clamp_(0, 1)  # the source does so after every update
        return self.config.max_span * self.share

    def spans(self, x: Tensor, xa: Tensor | None = None, mask: Tensor | None = None) -> Spans:
        """The spans in keys, and the temperature that is none: both (B, H, 1)."""
        span = self.span[:, None].expand(len(x), -1, -1)
        return Spans(span, torch.ones_like(span))

    def combine(self, q, k, v, view):
        span = self.span
        losses = {"span": self.config.price * span.mean()} if self.training else {}
        return AttentionOutput(*self.inside(q, k, v, view, span[None, :, None]), losses)

    def inside(
        self, q: Tensor, k: Tensor, v: Tensor, view: View, span: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Attention inside spans (1, H, 1): (B, H, T, K) and, on request, (B, H, T, S)."""
        q, T, S = q * q.shape[-1] ** -0.5, view.T, view.S
        if not (view.cross or view.explicit or T != S):
            reach = math.ceil(span.max().item()) + self.config.ramp - 1
            size = max(16, -(-reach // 8) * 8)  # multiples of 8 fill the vector registers
            after = 0 if view.causal else 1
            if (2 + after) * size < T:
                return self.windowed(q, k, v, view.mask, span, size, after)
        scores, seen, keys = q @ k.mT, view.pairs(), torch.arange(S, device=q.device)
        if view.cross:
            plain = scores if seen is None else scores.masked_fill(~seen, torch.finfo(q.dtype).min)
            centre = plain.softmax(dim=-1) @ keys.to(q.dtype)  # (B, H, T)
        else:
            centre = keys[S - T :]
        bias, near = self.soft_mask((centre[..., None] - keys).abs(), span[..., None])
        near = near if seen is None else near & seen
        weights = (scores + bias.to(q.dtype)).masked_fill(~near, -torch.inf).softmax(dim=-1)
        return view.read(weights.masked_fill(~near, 0.0), v)  # seeing nothing is 0, not NaN
