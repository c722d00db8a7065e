"""Linear attention by the first three terms of the exponential's series."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.kernels import KernelAttention


@dataclass(kw_only=True, slots=True)
class Config:
    features: int = 16  # d', width of queries and keys in every head
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class BasedAttention(KernelAttention):
    """Weights A_ij ∝ 1 + s + s²/2 with s = q_i · k_j / √d', the Taylor series of exp(s).

    Based, https://arxiv.org/abs/2402.18668. Queries and keys have few columns, d' a head, since
    their features are as many as its square: φ(x) = [1, x/d'^¼, x_a x_b/√d' for a < b, x_a²/√2d'].

    Deviation: a pair a, b stands once, the source has it twice over √2, for the same products; the
    softmax windows of 64 that the source interleaves are a layer of their own (`windowed`); use on
    encoders and in cross-attention is an extension. Biases are those of all mechanisms. Adopted
    attention starts as the series of its own scores, or where its heads are wider than d', of the
    scores of rank d' that are nearest: also an extension. So are rotary positions (`base`), which
    adopted rotary attention keeps where its heads are as wide as d'; else its scores are near from
    a position to itself alone.

    Cost: with F = 1 + d' + d' (d' + 1) / 2 = 153, B H (T + S) (D d' + F (K + 1)) multiplications
    and no rows of weights; when causal, B H T 64 (F + K + 1) more and 4 B H T (64 + F (K + 1) / 64)
    bytes; decoding, 4 B H F (K + 1) bytes.

    >>> layer = BasedAttention(Config(), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape, layer.query.weight.shape
    (torch.Size([2, 100, 32]), torch.Size([64, 32]))
    >>> taylor(torch.ones(16)) @ taylor(torch.ones(16))  # 1 + 4 + 4² / 2, as 16 / √16 is 4
    tensor(13.)
    """

    neutral = "three terms of a series are not the exponential that softmax sums"

    def setup(self, config):
        checks.positive(features=config.features)
        if config.base is not None and config.features % 2:
            raise ValueError(
                f"features: expected an even number (pairs are rotated), given {config.features}"
            )
        width = self.heads * config.features
        self.query = nn.Linear(self.dims, width)
        self.key = nn.Linear(self.dims, width, bias=False)

    def query_features(self, q):
        return taylor(q)

    def key_features(self, k):
        return taylor(k)

    def placed(self, weights):
        if weights["query.weight"].shape == self.query.weight.shape:
            return weights
        q, k = (
            weights[f"{name}.weight"].unflatten(0, (self.heads, -1)) for name in ("query", "key")
        )
        q = torch.cat((q, weights["query.bias"].unflatten(0, (self.heads, -1, 1))), dim=-1)
        q, k = nearest(q, k, self.config.features)
        own = {"query.weight": q[..., :-1], "query.bias": q[..., -1], "key.weight": k}
        return weights | {name: tensor.flatten(0, 1) for name, tensor in own.items()}


def taylor(x: Tensor) -> Tensor:
    """Features (..., 1 + d' + d' (d' + 1) / 2) of x (..., d'), in single precision at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32)) / x.shape[-1] ** 0.25
    pairs = [x[..., a : a + 1] * x[..., a + 1 :] for a in range(x.shape[-1] - 1)]
    return torch.cat((torch.ones_like(x[..., :1]), x, x.square() / 2**0.5, *pairs), dim=-1)


def nearest(q: Tensor, k: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Projections (H, width, ·) whose scores over √width are nearest to those over √K of q and k.

    q (H, K, D + 1) and k (H, K, D): the products qᵀ k are cut to their greatest singular values.
    """
    K = q.shape[1]
    (left, r), (right, s) = torch.linalg.qr(q.mT), torch.linalg.qr(k.mT)
    u, values, v = torch.linalg.svd(r @ s.mT)  # of K by K, not of D by D
    roots = (values * (width / K) ** 0.5).sqrt()[:, :, None]  # (H, K, 1)
    q, k = roots * (left @ u).mT, roots * (right @ v.mT).mT
    return tuple(F.pad(x[:, :width], (0, 0, 0, max(0, width - K))) for x in (q, k))
