"""Linear attention with learned softmax features that mimic softmax attention."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.kernels import KernelAttention, products
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not
    mimicry: float = 0.0  # weight of the loss that trains the maps to mimic softmax; 0: none


class HedgehogAttention(KernelAttention):
    """φ(q_i) Σ_j φ(k_j) v_jᵀ / φ(q_i) Σ_j φ(k_j), with φ(x) = [softmax(W x), softmax(-W x)].

    Hedgehog, https://arxiv.org/abs/2402.04347. W is a matrix of every head, one for queries and one
    for keys, and starts as the identity; features are at least 1e-12. `mimicry` adds a loss, the
    mean over rows of the cross-entropy of these weights to softmax(q kᵀ / √K): of it only the maps
    learn. As in LoLCATs, https://arxiv.org/abs/2410.10254.

    Deviation: use on encoders and in cross-attention is an extension; the loss is of this layer's
    own queries and keys while all of it is trained, not of a frozen model; LoLCATs' second loss,
    of outputs, is left out.

    Cost: B H (T + S) (K² + 2 K (K + 1)) multiplications, and no rows of weights; when causal, B H T
    64 (3 K + 1) more and 4 B H T (64 + 2 K (K + 1) / 64) bytes; decoding, 8 B H K (K + 1) bytes.

    >>> layer = HedgehogAttention(Config(), dims=32, heads=4, causal=True)
    >>> state = layer.new_state()
    >>> layer(torch.randn(2, 100, 32), state=state).out.shape
    torch.Size([2, 100, 32])
    >>> state.sums.shape  # whatever the length: 2 K features by K values and the ones
    torch.Size([2, 4, 16, 9])
    """

    neutral = "no map into 2 K features has the products of the exponential"

    def setup(self, config):
        checks.not_negative(mimicry=config.mimicry)
        identity = torch.eye(self.dims // self.heads).repeat(self.heads, 1, 1)  # (H, K, K)
        self.query_map, self.key_map = nn.Parameter(identity), nn.Parameter(identity.clone())

    def query_features(self, q):
        return features(q, self.query_map)

    def key_features(self, k):
        return features(k, self.key_map)

    def combine(self, q, k, v, view):
        output = super().combine(q, k, v, view)
        if not self.config.mimicry or view.state is not None:
            return output
        loss = self.config.mimicry * self.mimicry(q.detach(), k.detach(), view)
        return output._replace(losses={"mimicry": loss})

    def mimicry(self, q: Tensor, k: Tensor, view: View) -> Tensor:
        """Cross-entropy of the weights to those of softmax, a mean over rows that see a key."""
        seen, scale = view.pairs(), q.shape[-1] ** -0.5
        scores = (q * scale) @ k.mT
        ours = products(self.query_features(q), self.key_features(k), view)  # (B, H, T, S)
        ours = ours / (ours.sum(dim=-1, keepdim=True) + self.eps)
        if seen is None:
            return -(scores.softmax(dim=-1) * ours.clamp(min=1e-12).log()).sum(dim=-1).mean()
        softmax = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(dim=-1)
        entropy = -(softmax * ours.clamp(min=1e-12).log()).sum(dim=-1)  # (B, H, T)
        rows = rows_of(view, seen).expand_as(entropy)
        return (entropy * rows).sum() / rows.sum().clamp(min=1)


def features(x: Tensor, w: Tensor) -> Tensor:
    """x (B, H, T, K) by w (H, K, K): (B, H, T, 2 K), in single precision at least."""
    x = (x @ w).to(torch.promote_types(x.dtype, torch.float32))
    return torch.cat((x.softmax(dim=-1), (-x).softmax(dim=-1)), dim=-1).clamp(min=1e-12)


def rows_of(view: View, seen: Tensor) -> Tensor:
    """Queries that see a key and, in self-attention, are no padding: (B or 1, 1, T)."""
    rows = seen.any(dim=-1)
    keys = view.mask is not None and view.mask.ndim == 2 and not view.cross
    return rows & view.mask[:, None, view.S - view.T :] if keys else rows
