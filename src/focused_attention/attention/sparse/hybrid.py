"""Hybrid attention: a local focused branch beside a global one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput, attention_mask, softmax_attention
from focused_attention.attention.focus import Focus, FocusConfig, Spans
from focused_attention.attention.layer import ProjectedAttention


@dataclass(kw_only=True, slots=True)
class Config(FocusConfig):
    base: float | None = 10000.0  # rotate queries and keys (RoPE) with this base; None: do not


class HybridFocusedAttention(ProjectedAttention):
    """A focused local branch and a global branch, concatenated and joined by one projection.

    The corrected form of the focused attention module's `HybridAttention`; the local branch is
    `Focus`. The branches share queries, keys and values, where the published local branch attends
    with raw inputs. The published output projection of the global branch is left out: the joining
    projection follows it at once, and a product of two matrices is one matrix. The layer
    normalisations are left to the block around it. Weights, on request, are the global branch's.

    >>> layer = HybridFocusedAttention(Config(max_span=16), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    def __init__(self, config: Config, dims: int, heads: int, causal: bool = False):
        super().__init__(dims, heads, causal=causal, base=config.base)
        self.focus = Focus(config, dims, heads)
        self.projection = nn.Linear(2 * dims, dims)

    def spans(self, x: Tensor, xa: Tensor | None = None, mask: Tensor | None = None) -> Spans:
        """The spans in frames and the temperatures that `forward` uses on the same input."""
        q, _, v = self.project(x, xa, mask, None)
        return self.focus.predict(v, mask, T=q.shape[2], causal=self.is_causal and xa is None)

    def forward(self, x, xa=None, mask=None, *, cache=None, need_weights=False):
        cross = xa is not None
        causal = self.is_causal and not cross
        q, k, v = self.project(x, xa, mask, cache)
        T, S = q.shape[2], k.shape[2]
        near, _ = self.focus(q, k, v, mask, causal=causal, cross=cross, need_weights=False)
        merged = attention_mask(mask, causal=causal, T=T, S=S, device=x.device)
        far, weights = softmax_attention(q, k, v, merged, q.shape[-1] ** -0.5, need_weights)
        joined = torch.cat((near.transpose(1, 2), far.transpose(1, 2)), dim=2)  # (B, T, 2 H, K)
        return AttentionOutput(self.projection(joined.flatten(2)), weights, {})
