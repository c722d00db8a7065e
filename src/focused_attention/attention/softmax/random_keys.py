"""Softmax attention whose queries and keys are made of noise."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.derived import Derived

BLOCK = 1024  # positions that are drawn at once: a longer sequence begins as a shorter one


@dataclass(kw_only=True, slots=True)
class Config:
    sigma: float = 1.0  # standard deviation of the noise, where a layer's input has about 1
    seed: int = 0  # of the noise, which all layers share
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class RandomKeys(Derived):
    """softmax((ε W_Q) (ε W_K)ᵀ / √K) x W_V with noise ε ~ N(0, σ²) that is drawn once for ever.

    RndEmbQK of Deconstructing Attention, https://arxiv.org/abs/2510.11602, equations 9 and 10: the
    weights are the same for every input, and what is learned is which of them there are. The noise
    is drawn by position from a seed, for any length, and is no part of the weights that are saved.

    Deviation: in the paper, layer l reads what the blocks below it make of ε. A layer is not told
    that: here all layers read ε itself, through projections of their own. σ is not given there.
    Both directions and cross-attention are extensions; in the latter the keys alone are made of
    noise and the queries of the input.

    Cost: B T S D multiplications for scores and as many for values, (T + S) D² for queries and
    keys of the whole batch, 4 B H T S bytes of weights (float32) when they are asked for.

    >>> layer = RandomKeys(Config(), dims=32, heads=4)
    >>> one, other = layer(torch.randn(2, 9, 32), need_weights=True).weights
    >>> torch.allclose(one, other)
    True
    """

    neutral = "plain attention's queries and keys follow its input, and these never do"

    def setup(self, config):
        checks.positive(sigma=config.sigma)
        checks.not_negative(seed=config.seed)

    def places(self, first, count, like):
        blocks = -(-(first + count) // BLOCK)
        drawn = noise(blocks, self.dims, self.config.seed, like.dtype, like.device)
        return self.config.sigma * drawn[first : first + count]


@lru_cache(maxsize=8)  # the layers of a model ask for the same ones
@torch.inference_mode(mode=False)  # what decoding made, training may use
def noise(blocks: int, dims: int, seed: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Standard normal numbers of the first positions, (blocks * BLOCK, dims).

    Drawn block by block, since how PyTorch draws depends on how many it is asked for.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(BLOCK, dims, generator=generator) for _ in range(blocks)]
    return torch.cat(drawn).to(device, dtype)
