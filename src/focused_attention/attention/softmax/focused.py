"""Focused attention: a learned span, and a temperature that is a function of it."""

from dataclasses import dataclass

from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput
from focused_attention.attention.focus import Focus, FocusConfig, Spans
from focused_attention.attention.layer import ProjectedAttention


@dataclass(kw_only=True, slots=True)
class Config(FocusConfig):
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class FocusedAttention(ProjectedAttention):
    """Multi-head attention inside a predicted span, sharpened or softened with that span.

    The corrected form of the focused attention module's `AdaptiveSpanAttention`: the window really
    slides, the span is predicted for every item and head and is trained through a soft mask, the
    temperature is relative to 1 / sqrt(K), and masks and causality hold. Details: `Focus`.

    >>> import torch
    >>> layer = FocusedAttention(Config(max_span=16, schedule="learned_span"), dims=32, heads=4)
    >>> x = torch.randn(2, 100, 32)
    >>> layer(x).out.shape
    torch.Size([2, 100, 32])
    >>> layer.spans(x).span.shape  # frames, for every item and head
    torch.Size([2, 4, 1])
    """

    def __init__(self, config: Config, dims: int, heads: int, causal: bool = False):
        super().__init__(dims, heads, causal=causal, base=config.base)
        self.focus = Focus(config, dims, heads)
        self.out = nn.Linear(dims, dims)

    def spans(self, x: Tensor, xa: Tensor | None = None, mask: Tensor | None = None) -> Spans:
        """The spans in frames and the temperatures that `forward` uses on the same input."""
        q, _, v = self.project(x, xa, mask, None)
        return self.focus.predict(v, mask, T=q.shape[2], causal=self.is_causal and xa is None)

    def forward(self, x, xa=None, mask=None, *, cache=None, need_weights=False):
        cross = xa is not None
        q, k, v = self.project(x, xa, mask, cache)
        out, weights = self.focus(
            q,
            k,
            v,
            mask,
            causal=self.is_causal and not cross,
            cross=cross,
            need_weights=need_weights,
        )
        return AttentionOutput(self.out(out.transpose(1, 2).flatten(2)), weights, {})
