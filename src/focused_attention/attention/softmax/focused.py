"""Focused attention: a learned span, and a temperature that is a function of it."""

from dataclasses import dataclass

from focused_attention.attention.base import AttentionOutput
from focused_attention.attention.focus import FocusConfig, Focused


@dataclass(kw_only=True, slots=True)
class Config(FocusConfig):
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class FocusedAttention(Focused):
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

    neutral = "whisper", {"max_span": 10**6, "schedule": "off"}

    def combine(self, q, k, v, view):
        return AttentionOutput(*self.focus(q, k, v, view))
