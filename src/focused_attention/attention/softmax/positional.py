"""Softmax attention that reads by position alone."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.derived import Derived


@dataclass(kw_only=True, slots=True)
class Config:
    max_timescale: float = 10000.0  # longest wavelength of the encodings, in 2π positions


class PositionalAttention(Derived):
    """softmax((p W_Q) (p W_K)ᵀ / √K) x W_V with position encodings p, the same in every layer.

    Positional attention, https://arxiv.org/abs/2410.01686, as in opallab/positional_attention
    `model.py`: the weights are learned, but do not depend on the input. The encodings are Whisper's
    sinusoids, so that a layer which adopts one of its encoder starts with the part of its queries
    and keys that positions made.

    Deviation: the authors' encodings are one-hot, which bounds the length, and each of their heads
    is as wide as these; here it has width K. Causality and cross-attention are extensions. In the
    latter the keys tell where in the audio they stand and the queries are made of the input.
    Positions there are not divided by the length: a text that is being written has none.

    Cost: B T S D multiplications for scores and as many for values, (T + S) D² for queries and
    keys of the whole batch, 4 B H T S bytes of weights (float32) when they are asked for.

    >>> layer = PositionalAttention(Config(), dims=32, heads=4)
    >>> one, other = layer(torch.randn(2, 9, 32), need_weights=True).weights
    >>> torch.allclose(one, other)
    True
    """

    neutral = "plain attention's queries and keys follow its input, and these never do"

    def setup(self, config):
        checks.positive(max_timescale=config.max_timescale)

    def places(self, first, count, like):
        scale = self.config.max_timescale
        return sinusoids(first, count, self.dims, scale, like.dtype, like.device)


@lru_cache(maxsize=64)  # the layers of a model ask for the same ones
@torch.inference_mode(mode=False)  # what decoding made, training may use
def sinusoids(
    first: int, count: int, dims: int, scale: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Sines, then cosines, of wavelengths from 2π to 2π scale: (count, dims), from `first` on."""
    half = -(-dims // 2)
    exponents = torch.arange(half, device=device, dtype=torch.float64) / max(1, half - 1)
    positions = torch.arange(first, first + count, device=device)
    angles = positions[:, None] * scale**-exponents
    return torch.cat((angles.sin(), angles.cos()), dim=1)[:, :dims].to(dtype)
