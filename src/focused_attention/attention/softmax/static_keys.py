"""Softmax attention whose queries and keys are made of the embeddings, in every layer."""

from dataclasses import dataclass

from torch import Tensor

from focused_attention.attention.derived import Derived


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class StaticKeys(Derived):
    """softmax((e W_Q) (e W_K)ᵀ / √K) x W_V with embeddings e, which no block has given context.

    StaticEmbQK of Deconstructing Attention, https://arxiv.org/abs/2510.11602, equation 13: the
    weights follow the input, but not what deeper layers make of it. A model tells its layers in
    `embedded` what the first block of a stack is given, (B, T, D), while it runs them.

    Deviation: embeddings are normed as a layer's input is. A layer that was told none takes its
    input in their place, which is right in a first layer and plain attention elsewhere. Both
    directions are an extension. Cross-attention is left out: a decoder has no embeddings of what
    was heard.

    Cost: B T S D multiplications for scores and as many for values, B (T + S) D² for queries and
    keys, 4 B H T S bytes of weights (float32) when they are asked for.

    >>> import torch
    >>> layer = StaticKeys(Config(), dims=32, heads=4)
    >>> layer.embedded = torch.randn(1, 9, 32)
    >>> one, other = (layer(torch.randn(1, 9, 32), need_weights=True).weights for _ in range(2))
    >>> torch.allclose(one, other)
    True
    """

    cross = False
    embedded: Tensor | None = None  # of what `x` has become; None: x itself

    def sources(self, x, xa, first):
        e = x if self.embedded is None else self.embedded
        if e.shape != x.shape:
            raise ValueError(f"embedded: expected shape {tuple(x.shape)}, given {tuple(e.shape)}")
        return e, e
