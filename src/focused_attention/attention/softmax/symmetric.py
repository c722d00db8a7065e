"""Softmax attention with one projection for queries and keys."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class SymmetricAttention(Mechanism):
    """softmax(q qᵀ / √K) v: W_K := W_Q, so that i is to j as j is to i, and most to itself.

    Reducing the Transformer Architecture to a Minimum, https://arxiv.org/abs/2410.13732, section 5.
    With a score matrix T Tᵀ of every head, as the paper also has it, T = W_Q.

    A layer that adopts plain attention takes, of every head, the T Tᵀ that is nearest to its
    W_Q W_Kᵀ: the part of its mean with its transpose that has eigenvalues above zero. The same
    function if the two were equal. Where positions are rotated, T has other rotations than they.

    Deviation: queries and keys have the bias of queries. Causality and cross-attention, where
    the text asks with what the audio answers with, are extensions.

    Cost: plain attention's, 2 B T S D multiplications and 4 B H T S bytes of weights (float32)
    where they are kept; D² weights fewer.

    >>> layer = SymmetricAttention(Config(), dims=32, heads=4)
    >>> q, k, _ = layer.project(torch.randn(2, 9, 32), None)
    >>> scores = q @ k.mT
    >>> torch.allclose(scores, scores.mT, atol=1e-6)
    True
    """

    neutral = "only where queries and keys of the source were equal, up to a rotation"

    def setup(self, config):
        del self.key  # the method stands in its place

    def key(self, x: Tensor) -> Tensor:
        return self.query(x)

    def combine(self, q, k, v, view):
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs()))

    def placed(self, weights):
        if "key.weight" not in weights:
            return weights
        names = "query.weight", "query.bias", "key.weight"
        W_Q, b, W_K = (weights[name].double().unflatten(0, (self.heads, -1)) for name in names)
        scores = W_Q.mT @ W_K  # of every head, (H, D, D)
        values, vectors = torch.linalg.eigh((scores + scores.mT) / 2)  # in ascending order
        K = W_Q.shape[1]
        T = (vectors[..., -K:] * values[:, None, -K:].clamp(min=0).sqrt()).mT  # (H, K, D)
        bias = torch.linalg.pinv(T.mT) @ (W_K.mT @ b[..., None])  # as near as it gets to b W_K
        own = {"query.weight": T.flatten(0, 1), "query.bias": bias.flatten()}
        return {name: of for name, of in weights.items() if name not in names} | own
