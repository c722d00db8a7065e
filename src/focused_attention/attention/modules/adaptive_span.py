"""The published adaptive span, mistakes included: for comparison, never for use."""

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.softmax.rotary import Config, RotaryAttention


class MultiheadAttention(nn.Module):
    """Rotary multi-head attention with the published arguments, called with query, key, value.

    The published modules pass the same sequence as key and as value, so one source is enough here.
    """

    def __init__(self, base: float, dims: int, head: int, max_dist: int):
        super().__init__()
        self.head = head
        self.attention = RotaryAttention(Config(base=base, max_dist=max_dist), dims, head)

    @property
    def max_dist(self) -> int:
        return self.attention.max_dist

    @max_dist.setter
    def max_dist(self, frames: int) -> None:
        self.attention.max_dist = frames

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
        self.max_dist, self.win_size, self.max_span = max_dist, win_size, max_span
        self.temp_scale = temp_scale
        self.multihead_attn = MultiheadAttention(base, dims, head, max_dist)
        self.span_scale = nn.Parameter(torch.tensor(1.0))
        self.sharpen_longer = sharpen_longer
        self.heat: Tensor | None = None  # (H,), an intervention: times the published temperature

    def temperature(self, scale: float) -> float:
        if self.sharpen_longer:
            return 1.0 + self.temp_scale * (1.0 - scale)
        return 0.5 + self.temp_scale * scale

    def heated(self, scale: float, like: Tensor) -> float | Tensor:
        """The temperature, or with an intervention those of the heads, (H, 1, 1)."""
        published = self.temperature(scale)
        return published if self.heat is None else (published * self.heat).to(like)[:, None, None]

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, span_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """query (B, w, D), key, value (B, W, D), span_scale (B, 1) to (B, e, D), (B, H, e, e)."""
        scale = span_scale.mean().item()
        span_len = min(int(self.max_span * scale), query.shape[1], key.shape[1], value.shape[1])
        eff_span = min(span_len, self.max_dist)
        q, k, v = query[:, :eff_span], key[:, :eff_span], value[:, :eff_span]
        if eff_span:  # computed and thrown away
            self.multihead_attn(q, k, v)
        head = self.multihead_attn.head
        q, k, v = (t.unflatten(-1, (head, -1)).transpose(1, 2) for t in (q, k, v))  # (B, H, e, K)
        scores = q @ k.transpose(-2, -1)
        weights = torch.softmax(scores / self.heated(scale, q) * q.shape[-1] ** -0.25, dim=-1)
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
