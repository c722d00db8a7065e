"""Titans: attention beside a memory that learns while it reads, from what surprises it."""

from dataclasses import dataclass

from focused_attention.attention.memories import MemoryAttention
from focused_attention.attention.memory._state import MemoryConfig


@dataclass(kw_only=True, slots=True)
class Config(MemoryConfig):
    momentum: bool = True  # past surprise goes on; False: η = 0


class TitansAttention(MemoryAttention):
    """Attention in a window, gated by a memory M that descends on the mean of (M(k) - v)².

    Memory as a gate of https://arxiv.org/abs/2501.00663, with the neural memory of
    lucidrains/titans-pytorch `neural_memory.py` where `chunk_size` and `batch_size` are one chunk:
    M_t = (1 - α_t) M_{t-1} + S_t, S_t = η_t S_{t-1} - Σ θ_i ∇ℓ, read by M(q), with a key's
    θ = rate σ(w·x_i + b), and α and η of the mean of a chunk's x likewise. Without a `batch_size`,
    the package takes all gradients at M_0.

    Deviation: y ⊗ M(x) is y 2σ(g ⊙ m), with m of length √K, so that the layer starts as attention;
    queries, keys and values are attention's own, at length √K, without SiLU and convolution; there
    are no persistent tokens. `rate` 1 and `forget` near 1/2, as in the package, diverge where
    gradients are taken anew in every chunk. A hidden key is not written. Without causality a query
    reads a memory from the left and one from the right, and takes the mean; in cross-attention all
    read what is left of the other sequence; both count an unfinished chunk: these are extensions.

    Cost: B H T (28 K² + 24 K² / C) multiplications with `expansion` 4 and chunks of C, twice that
    without causality, and the window's; 4 B H T (42 K + 16 K² / C) bytes, or twice that; decoding,
    4 B H (24 K² + 2 K window) bytes.

    >>> import torch
    >>> layer = TitansAttention(Config(), dims=32, heads=4, causal=True)
    >>> state = layer.new_state()
    >>> layer(torch.randn(2, 100, 32), state=state).out.shape, state.memory.shape
    (torch.Size([2, 100, 32]), torch.Size([2, 4, 3, 520]))
    """

    logits = 3  # and that of η

    def momentum(self, told):
        return told[..., 2:3].sigmoid() if self.config.momentum else super().momentum(told)
