"""Kernel attention: a row's weights are products of features, so that all rows share sums.

    out_i = φ(q_i) Σ_j φ(k_j) v_jᵀ / (φ(q_i) Σ_j φ(k_j) + ε)

Values get a column of ones, which sums the denominator: one matrix Σ_j φ(k_j) [v_j, 1]ᵀ holds all
that a query needs of the keys. https://arxiv.org/abs/2006.16236

Shape alphabet: B batch, T query length, S key length, H heads, K head width, F features, n chunks
of C positions.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention.base import AttentionOutput, Mechanism, UnsuitedError
from focused_attention.attention.state import KeyValueCache, State
from focused_attention.attention.uneven import UnevenCache
from focused_attention.attention.view import View
from focused_attention.attention.windows import blocks

CHUNK = 64  # keys among which weights are computed one by one: of so few, sums are no quicker


@dataclass
class SumState(State):
    """What is summed over the keys so far: as large after a thousand keys as after one.

    Self-attention adds to it; cross-attention sums the other sequence once and keeps that. Where an
    intervention needs rows of weights, and so every key, these are kept as well.
    """

    sums: Tensor | None = field(default=None, repr=False)  # (B, H, F, ·)
    kept: KeyValueCache | None = None
    length: int = 0  # keys that are in the sums

    def reorder(self, index: Tensor) -> None:
        for name, value in list(vars(self).items()):
            if torch.is_tensor(value):
                setattr(self, name, value[index])
        if self.kept is not None:
            self.kept.reorder(index)


class Recurrent(Mechanism):
    """A mechanism that keeps sums: those of another sequence are all that it needs of it."""

    recurrent = True

    def project(self, x, xa, state=None):
        """Of keys of another sequence that are summed already, the shapes alone."""
        if xa is not None and isinstance(state, SumState) and state.sums is not None:
            shape = torch.empty(*state.sums.shape[:2], state.length, 0, device="meta")
            state = KeyValueCache(shape, shape, state.length)
        return super().project(x, xa, state)


class KernelAttention(Recurrent):
    """Attention whose weights are normalised products of the features of queries and keys.

    A mechanism says what the features are. While it decodes, a layer keeps their sums; with an
    intervention on its rows of weights, which needs all keys, it keeps these.
    """

    eps: ClassVar[float] = 1e-12  # is added to the sum of a row

    def query_features(self, q: Tensor) -> Tensor:
        """(B, H, T, K) -> (B, H, T, F)"""
        raise NotImplementedError(f"{type(self).__name__} has no query_features")

    def key_features(self, k: Tensor) -> Tensor:
        """(B, H, S, K) -> (B, H, S, F)"""
        raise NotImplementedError(f"{type(self).__name__} has no key_features")

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        if xa is not None and (need_weights or self.edit) and isinstance(state, SumState):
            state = None  # rows of weights need the keys, not their sums
        return super().forward(x, xa, mask, state=state, need_weights=need_weights)

    def combine(self, q, k, v, view):
        features = None if k.is_meta else self.key_features(k)
        q = self.query_features(q)
        return AttentionOutput(*kernel_attention(q, features, v, view, self.eps))

    def new_state(self) -> State:
        return SumState() if self.edit is None else UnevenCache()


def kernel_attention(
    q: Tensor, k: Tensor | None, v: Tensor, view: View, eps: float
) -> tuple[Tensor, Tensor | None]:
    """The features q (B, H, T, F) and k (B, H, S, F) meet the values v (B, H, S, K).

    k is None where the state has summed it. Sums are taken in single precision at least. Returns
    (B, H, T, K) and, if the view needs them, the weights (B, H, T, S) of the keys of this call:
    what is missing to a sum of one lies in the state.
    """
    precise, given = torch.promote_types(q.dtype, torch.float32), view.x.dtype
    state = view.state if isinstance(view.state, SumState) else None
    weights = None
    with torch.autocast(q.device.type, enabled=False):
        q = q.to(precise)
        if k is None:
            out = quotient(q @ state.sums, eps)
        elif state is None and (view.explicit or by_pairs(view) or view.S <= CHUNK):
            scores = products(q, k.to(precise), view)
            out, weights = view.read(scores / (scores.sum(-1, keepdim=True) + eps), v.to(precise))
        else:
            out, weights = by_sums(q, k.to(precise), v.to(precise), view, state, eps)
    return out.to(given), None if weights is None else weights.to(given)


def by_sums(q, k, v, view, state, eps) -> tuple[Tensor, Tensor | None]:
    """Without a matrix of all weights, unless they are asked for."""
    if state is not None and (view.edit is not None or by_pairs(view)):
        raise UnsuitedError("a state of sums has no single keys to edit or to hide from a query")
    k, v = without_padding(k, view), F.pad(v, (0, 1), value=1.0)
    past = None if state is None else state.sums
    if view.causal and view.T > 1:
        sums, total = causal_sums(q, k, v, past)
    else:
        total = k.mT @ v if past is None else past + k.mT @ v
        sums = q @ total
    if state is not None:
        state.sums, state.length = total, state.length + k.shape[2]
    shown = None
    if view.need_weights:
        shown = products(q, k, view) / (sums[..., -1:] + eps)
    return quotient(sums, eps), shown


def causal_sums(q: Tensor, k: Tensor, v: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
    """Σ_j≤i (q_i · k_j) v_j in time and memory that grow with T; and Σ_j k_j v_jᵀ over all keys.

    The last query is aligned with the last key; past (B, H, F, K) is the sum over keys before.
    """
    T = q.shape[2]
    before = k.shape[2] - T
    if before:
        past = k[:, :, :before].mT @ v[:, :, :before]
        k, v = k[:, :, before:], v[:, :, before:]
    q, k, v = (blocks(x, min(CHUNK, T)) for x in (q, k, v))  # (B, H, n, C, ·)
    chunks = k.mT @ v  # (B, H, n, F, K)
    first = torch.zeros_like(chunks[:, :, :1]) if past is None else past[:, :, None]
    upto = torch.cat((first, chunks), dim=2).cumsum(dim=2)
    sums = (q @ k.mT).tril() @ v + q @ upto[:, :, :-1]
    return sums.flatten(2, 3)[:, :, :T], upto[:, :, -1].clone()


def products(q: Tensor, k: Tensor, view: View) -> Tensor:
    """The products of features, zero where a query does not see a key: (B, H, T, S)."""
    scores, seen = q @ k.mT, view.pairs()
    return scores if seen is None else scores.masked_fill(~seen, 0.0)


def quotient(sums: Tensor, eps: float) -> Tensor:
    """Sums by their last column, that of the ones."""
    return sums[..., :-1] / (sums[..., -1:] + eps)


def by_pairs(view: View) -> bool:
    return view.mask is not None and view.mask.ndim == 3


def without_padding(k: Tensor, view: View) -> Tensor:
    return k if view.mask is None else k.masked_fill(~view.mask[:, None, :, None], 0.0)
