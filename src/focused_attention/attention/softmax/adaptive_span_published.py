"""Adaptive span attention as published, mistakes included: for comparison, never for use."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, MultiHeadAttention
from focused_attention.attention.focus import Spans
from focused_attention.attention.softmax import rotary


@dataclass(kw_only=True, slots=True)
class Config:
    base: float = 10000.0  # of the inner rotary attention
    max_dist: int = 1500  # keys of a window that are kept at most, in frames
    max_span: int = 32  # longest span, in frames
    slid_win: int = 32  # longest window, in frames
    temp_scale: float = 0.01  # how much the span moves the temperature
    sharpen_longer: bool = False


class MultiheadAttention(nn.Module):
    """Rotary multi-head attention with the published arguments, called with query, key, value.

    The published modules pass the same sequence as key and as value, so one source is enough here.
    """

    def __init__(self, base: float, dims: int, head: int, max_dist: int):
        super().__init__()
        checks.heads_divide(dims, head, even=True)
        checks.positive(base=base, max_dist=max_dist)
        self.head = head
        core = rotary.RotaryAttention(rotary.Config(base=base, max_dist=max_dist), dims // head)
        self.attention = MultiHeadAttention(core, dims, head)

    @property
    def max_dist(self) -> int:
        return self.attention.core.max_dist

    @max_dist.setter
    def max_dist(self, frames: int) -> None:
        self.attention.core.max_dist = frames

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, None]:
        return self.attention(query, None if key is query else key).out, None


class AdaptiveSpanAttention(nn.Module):
    """One window of the published local branch, computed as its code computes it.

    Keeps what the code does: `.item()` cuts the gradient of `span_scale`, the mean couples the
    items of a batch, the keys are cut to their first `eff_span`, the inner attention is computed
    and thrown away, and the scores of the unprojected inputs are scaled by K**-0.25 once.

    >>> attend = AdaptiveSpanAttention(10000, 32, 4, max_dist=16, win_size=16, max_span=16)
    >>> window = torch.randn(2, 16, 32)
    >>> out, weights = attend(window, window, window, torch.ones(2, 1))
    >>> out.shape, weights.shape
    (torch.Size([2, 16, 32]), torch.Size([2, 4, 16, 16]))
    """

    def __init__(
        self,
        base: float,
        dims: int,
        head: int,
        max_dist: int,
        win_size: int,
        max_span: int,
        temp_scale: float = 0.01,
        sharpen_longer: bool = False,
    ):
        super().__init__()
        checks.positive(win_size=win_size, max_span=max_span)
        self.max_dist = max_dist
        self.win_size = win_size
        self.max_span = max_span
        self.temp_scale = temp_scale
        self.multihead_attn = MultiheadAttention(base, dims, head, max_dist)
        self.span_scale = nn.Parameter(torch.tensor(1.0))
        self.sharpen_longer = sharpen_longer

    def temperature(self, scale: float) -> float:
        if self.sharpen_longer:
            return 1.0 + self.temp_scale * (1.0 - scale)
        return 0.5 + self.temp_scale * scale

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, span_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """query (B, w, D), key, value (B, W, D), span_scale (B, 1) to (B, e, D), (B, H, e, e)."""
        scale = span_scale.mean().item()
        span_len = min(int(self.max_span * scale), query.shape[1], key.shape[1], value.shape[1])
        eff_span = min(span_len, self.max_dist)
        q, k, v = query[:, :eff_span], key[:, :eff_span], value[:, :eff_span]
        self.multihead_attn(q, k, v)
        head = self.multihead_attn.head
        q, k, v = (t.unflatten(-1, (head, -1)).transpose(1, 2) for t in (q, k, v))  # (B, H, e, K)
        scores = q @ k.transpose(-2, -1)
        weights = torch.softmax((scores / self.temperature(scale)) * q.shape[-1] ** -0.25, dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2), weights


class SpanPredictor(nn.Module):
    """sigmoid(w · x + b), one number an item.

    >>> SpanPredictor(32)(torch.randn(2, 32)).shape
    torch.Size([2, 1])
    """

    def __init__(self, dims: int):
        super().__init__()
        self.linear = nn.Linear(dims, 1)

    def forward(self, global_out: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(global_out))


def window_lengths(span_scale: Tensor, slid_win: int, max_span: int) -> tuple[int, int]:
    """The published window and span in frames, from the mean over the batch."""
    scale = span_scale.mean().item()
    return max(1, int(slid_win * scale)), max(1, int(max_span * scale))


def slide_win(
    attend: AdaptiveSpanAttention,
    x: Tensor,  # (B, T, D)
    win_size: int,
    span_len: int,
    span_scale: Tensor,  # (B, 1)
    weights: Tensor | None = None,  # (B, H, T, T) zeros, filled in place
) -> Tensor:
    """The published loop over windows, (B, T, D)."""
    out = torch.zeros_like(x)
    for i in range(0, x.shape[1], win_size):
        end = min(i + win_size, x.shape[1])
        start = max(0, i - span_len + win_size)
        key = x[:, start : i + span_len]
        value = x[:, start : i + span_len]
        attn_out, attn_weights = attend(x[:, i:end], key, value, span_scale)
        out[:, i:end] = attn_out
        if weights is not None:
            weights[:, :, i:end, start : start + attn_weights.shape[-1]] = attn_weights
    return out


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

    def __init__(self, config: Config, dims: int, heads: int, causal: bool = False):
        super().__init__()
        checks.heads_divide(dims, heads, even=True)
        checks.positive(slid_win=config.slid_win, max_span=config.max_span)
        self.config, self.dims, self.heads = config, dims, heads
        self.span_pred = SpanPredictor(dims)
        self.attn_local = AdaptiveSpanAttention(
            config.base,
            dims,
            heads,
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

    def forward(self, x, xa=None, mask=None, *, cache=None, need_weights=False):
        checks.sequence("x", x, self.dims, self.span_pred.linear.weight.device)
        B, T, _ = x.shape
        span_scale = self.span_pred(x.mean(dim=1))
        win_size, span_len = window_lengths(span_scale, self.config.slid_win, self.config.max_span)
        self.attn_local.max_dist = min(self.config.max_dist, span_len, win_size)
        weights = x.new_zeros(B, self.heads, T, T) if need_weights else None
        out = slide_win(self.attn_local, x, win_size, span_len, span_scale, weights)
        return AttentionOutput(out, weights, {})
