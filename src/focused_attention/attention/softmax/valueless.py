"""Softmax attention that mixes the input itself."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class ValuelessAttention(Mechanism):
    """softmax(q kᵀ / √K) x: W_V = W_O = 1, so that an output is a mean of inputs.

    Reducing the Transformer Architecture to a Minimum, https://arxiv.org/abs/2410.13732, section 3.
    Of several heads each mixes its own K columns of x, which is what unit matrices make of them;
    the paper tried one.

    Deviation: a bias of the output is left. A layer that adopts plain attention takes its queries
    and keys, and in this bias what its values' bias became. Causality is an extension, and so is
    cross-attention: a text's query then gets a mean of audio frames.

    Cost: plain attention's 2 B T S D multiplications, 2 B T D² fewer for projections, and 4 B H T S
    bytes of weights (float32) where they are kept.

    >>> layer = ValuelessAttention(Config(), dims=32, heads=4)
    >>> x = torch.randn(1, 1, 32)  # attends to itself alone
    >>> torch.equal(layer(x).out, x)
    True
    """

    neutral = "only where the source's values and output were unit matrices"

    def __init__(
        self,
        config: Any,
        dims: int,
        heads: int,
        causal: bool = False,
        *,
        layer: int = 0,
        depth: int = 1,
    ):
        super().__init__(config, dims, heads, causal, layer=layer, depth=depth)
        self.value, self.out = nn.Identity(), Shift(dims)

    def combine(self, q, k, v, view):
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs()))

    def placed(self, weights):
        if "value.weight" not in weights:
            return weights
        shift = weights["out.weight"] @ weights["value.bias"] + weights["out.bias"]
        dropped = "value.weight", "value.bias", "out.weight"
        return {name: of for name, of in weights.items() if name not in dropped} | {
            "out.bias": shift
        }


class Shift(nn.Module):
    """A projection whose matrix is the unit matrix: x + bias."""

    def __init__(self, dims: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(dims))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias
