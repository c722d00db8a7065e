"""Adaptive span attention as published, mistakes included: for comparison, never for use."""

from dataclasses import dataclass

from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.focus import Spans
from focused_attention.attention.modules.adaptive_span import (
    AdaptiveSpanAttention,
    SpanPredictor,
    slide_win,
    window_lengths,
)


@dataclass(kw_only=True, slots=True)
class Config:
    base: float = 10000.0  # of the inner rotary attention
    max_dist: int = 1500  # keys of a window that are kept at most, in frames
    max_span: int = 32  # longest span, in frames
    slid_win: int = 32  # longest window, in frames
    temp_scale: float = 0.01  # how much the span moves the temperature
    sharpen_longer: bool = False


class AdaptiveSpanPublished(Mechanism):
    """The published local branch alone: predicted span, loop over windows, no projections.

    The predictor reads the mean of the inputs, since there is no global branch to read. Masks are
    ignored, as in the published code.

    >>> layer = AdaptiveSpanPublished(Config(), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    causal = False
    cross = False
    masked = False
    projected = False
    neutral = "it attends with raw inputs, so no weights of another are its own"

    def setup(self, config):
        checks.positive(slid_win=config.slid_win, max_span=config.max_span)
        self.span_pred = SpanPredictor(self.dims)
        self.attn_local = AdaptiveSpanAttention(
            config.base,
            self.dims,
            self.heads,
            config.max_dist,
            config.slid_win,
            config.max_span,
            config.temp_scale,
            config.sharpen_longer,
        )

    def spans(self, x: Tensor, xa: None = None, mask: Tensor | None = None) -> Spans:
        """Span in frames and temperature: one for the whole batch, as published."""
        scale = self.span_pred(x.mean(dim=1)).mean()
        shape = x.shape[0], self.heads, 1
        return Spans(
            (self.config.max_span * scale).expand(shape),
            scale.new_full(shape, self.attn_local.temperature(scale.item())),
        )

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        checks.sequence("x", x, self.dims, self.span_pred.linear.weight.device)
        B, T, _ = x.shape
        span_scale = self.span_pred(x.mean(dim=1))
        win_size, span_len = window_lengths(span_scale, self.config.slid_win, self.config.max_span)
        self.attn_local.max_dist = min(self.config.max_dist, span_len, win_size)
        self.attn_local.heat = self.heat
        weights = x.new_zeros(B, self.heads, T, T) if need_weights else None
        out = slide_win(self.attn_local, x, win_size, span_len, span_scale, weights)
        return AttentionOutput(out, weights)
