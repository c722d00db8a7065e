"""Hybrid attention as published, mistakes included: for comparison, never for use."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.focus import Spans
from focused_attention.attention.modules.hybrid import HybridAttention


@dataclass(kw_only=True, slots=True)
class Config:
    base: float = 10000.0  # of the rotary attention
    max_dist: int = 1500  # farthest key of the global branch, in frames
    max_span: int = 32  # longest span, in frames
    slid_win: int = 32  # longest window, in frames
    temp_scale: float = 0.01  # how much the span moves the temperature
    sharpen_longer: bool = False


class HybridPublished(Mechanism):
    """`HybridAttention` as a mechanism. Weights, on request, are the global branch's.

    >>> layer = HybridPublished(Config(), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    causal = False
    cross = False
    masked = False
    projected = False
    neutral = "each of its branches has a layer normalisation of its own"

    def setup(self, config):
        self.hybrid = HybridAttention(
            config.base,
            self.dims,
            self.heads,
            config.max_dist,
            max_span=config.max_span,
            slid_win=config.slid_win,
            sharpen_longer=config.sharpen_longer,
            temp_scale=config.temp_scale,
        )

    def placed(self, weights):
        """The global branch becomes the source, and what it writes at first the output."""
        joined = self.hybrid.projection
        eye = torch.eye(self.dims, device=joined.weight.device)
        return {f"hybrid.attn_global.attention.{name}": w for name, w in weights.items()} | {
            "hybrid.projection.weight": torch.cat((torch.zeros_like(eye), eye), dim=1),
            "hybrid.projection.bias": torch.zeros_like(joined.bias),
        }

    def spans(self, x: Tensor, xa: None = None, mask: Tensor | None = None) -> Spans:
        """Span in frames and temperature: one for the whole batch, as published."""
        scale = self.hybrid.span_scale(x)[1].mean()
        shape = x.shape[0], self.heads, 1
        return Spans(
            (self.hybrid.max_span * scale).expand(shape),
            scale.new_full(shape, self.hybrid.attn_local.temperature(scale.item())),
        )

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        checks.sequence("x", x, self.dims, self.hybrid.projection.weight.device)
        globe = self.hybrid.attn_global.attention
        globe.temperature, self.hybrid.attn_local.heat = self.temperature, self.heat
        out, weights = self.hybrid(x), None
        if need_weights:
            weights = globe(self.hybrid.ln_global(x), need_weights=True).weights
        return AttentionOutput(out, weights)
