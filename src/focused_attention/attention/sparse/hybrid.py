"""Hybrid attention: a local focused branch beside a global one."""

import dataclasses
from dataclasses import dataclass

import torch

from focused_attention.attention.base import AttentionOutput, softmax_attention
from focused_attention.attention.focus import FocusConfig, Focused


@dataclass(kw_only=True, slots=True)
class Config(FocusConfig):
    base: float | None = 10000.0  # rotate queries and keys (RoPE) with this base; None: do not


class HybridFocusedAttention(Focused):
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

    branches = 2
    neutral = "rotary", {}

    def combine(self, q, k, v, view):
        near, _ = self.focus(q, k, v, dataclasses.replace(view, need_weights=False))
        far, weights = softmax_attention(q, k, v, view, view.pairs())
        return AttentionOutput(torch.cat((near, far), dim=1), weights)

    def placed(self, weights):
        """The global branch becomes the source, to which the local one at first adds nothing."""
        joined = weights["out.weight"]
        if joined.shape[1] == self.dims:
            joined = torch.cat((torch.zeros_like(joined), joined), dim=1)
        return weights | {"out.weight": joined}
