"""The published hybrid module, mistakes included: for comparison, never for use."""

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.modules.adaptive_span import (
    AdaptiveSpanAttention,
    MultiheadAttention,
    SpanPredictor,
    slide_win,
    window_lengths,
)


class HybridAttention(nn.Module):
    """The published module, with its arguments: local windows beside global attention.

    `xa`, `mask`, `kv_cache`, `new_dist` and `new_base` are accepted and ignored, as published.

    >>> layer = HybridAttention(base=10000, dims=32, head=4, max_dist=100)
    >>> layer(torch.randn(2, 100, 32)).shape
    torch.Size([2, 100, 32])
    """

    def __init__(
        self,
        base: float,
        dims: int,
        head: int,
        max_dist: int,
        win_size: int = 32,
        max_span: int = 32,
        slid_win: int = 32,
        sharpen_longer: bool = False,
        temp_scale: float = 0.01,
    ):
        super().__init__()
        checks.positive(slid_win=slid_win)
        self.max_dist, self.win_size = max_dist, win_size
        self.max_span, self.slid_win = max_span, slid_win
        self.span_pred = SpanPredictor(dims)
        self.dist_local = max_dist
        self.dist_global = max_dist
        self.attn_local = AdaptiveSpanAttention(
            base, dims, head, self.dist_local, win_size, max_span, temp_scale, sharpen_longer
        )
        self.attn_global = MultiheadAttention(base, dims, head, self.dist_global)
        self.ln_local = nn.LayerNorm(dims)
        self.ln_global = nn.LayerNorm(dims)
        self.projection = nn.Linear(2 * dims, dims)

    def span_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The global branch's output (B, T, D) and the span predicted from its mean, (B, 1)."""
        globe = self.ln_global(x)
        globe_out, _ = self.attn_global(globe, globe, globe)
        return globe_out, self.span_pred(globe_out.mean(dim=1))

    def forward(
        self, x: Tensor, new_dist=None, new_base=None, xa=None, mask=None, kv_cache=None
    ) -> Tensor:
        local = self.ln_local(x)
        globe_out, span_scale = self.span_scale(x)
        win_size, span_len = window_lengths(span_scale, self.slid_win, self.max_span)
        self.attn_local.max_dist = min(self.dist_local, span_len, win_size)
        self.attn_global.max_dist = min(self.max_dist, local.shape[1])
        local_out = slide_win(self.attn_local, local, win_size, span_len, span_scale)
        return self.projection(torch.cat([local_out, globe_out], dim=-1))
