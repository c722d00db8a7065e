"""A memory that is a small network, whose weights learn from the keys and values that it reads.

    M(x) = x + (1 + γ) LN(gelu(x W¹) W²)              of every head, see network.py
    S_t = η_t S_{t-1} - Σ_i θ_i ∇ℓ(M_{t-1}(k_i), v_i)         over the positions i of chunk t
    A_t = (1 - α_t) A_{t-1} + S_t,    W_t = link(A_t)

All gradients of a chunk are taken at the weights that it begins with, so that they are one product
of matrices. They are written out, so that training differentiates through them once more. A query
at position i reads M_t of the last chunk that ends at i or before: M_i, if chunks are of 1.

Shape alphabet: B batch, T query length, S key length, H heads, K head width, U hidden units,
P = 2 K U + K weights, R directions (2 without causality), N chunks of C positions, L logits.
"""

from dataclasses import replace
from math import log
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, UnsuitedError
from focused_attention.attention.memory._state import MemoryState
from focused_attention.attention.network import (
    Weights,
    answer,
    gradient,
    laid,
    packed,
    unit,
    unpacked,
)
from focused_attention.attention.sparse.windowed import WindowedAttention
from focused_attention.attention.state import KeyValueCache, State
from focused_attention.attention.view import View


class MemoryAttention(WindowedAttention):
    """Attention in a window, gated by what a memory of all keys answers to the same query.

    out = y ⊙ 2σ(g ⊙ m / rms(m)), with y of the window and m = M(q), where queries and keys have a
    root mean square of 1; rows of weights are the window's. A mechanism says what the slope of its
    loss is, and how the memory's weights follow from what is summed up.
    """

    cross = True
    recurrent = True
    neutral = "whisper", {"window": 1000}
    logits: ClassVar[int] = 2  # of a key and head: that of θ, that of α, and a mechanism's own

    def setup(self, config):
        checks.positive(
            window=config.window, chunk=config.chunk, expansion=config.expansion, rate=config.rate
        )
        if not 0 < config.forget < 1:
            raise ValueError(f"forget: expected a number between 0 and 1, given {config.forget!r}")
        K, self.slopes = self.dims // self.heads, None
        self.start = nn.Parameter(torch.stack([self.drawn(K) for _ in range(self.heads)]))  # A_0
        self.tell = nn.Linear(self.dims, self.logits * self.heads)
        with torch.no_grad():
            self.tell.bias[1 :: self.logits] = log(config.forget / (1 - config.forget))
        if config.alone:
            self.weighted = self.tempered = False
        else:
            self.gain = nn.Parameter(torch.full((self.heads, 1, K), float(config.gain)))

    def drawn(self, K: int) -> Tensor:
        """One head's A at the start, (P,): matrices as Glorot and Bengio draw them, and γ = 0."""
        U = self.config.expansion * K
        W1, W2 = (nn.init.xavier_uniform_(torch.empty(shape)) for shape in ((K, U), (U, K)))
        return packed(W1, W2, torch.zeros(1, K))

    def slope(self, error: Tensor, told: Tensor) -> Tensor:
        """∂ℓ/∂M(k) at errors M(k) - v (..., C, K); told (..., C, L) are the logits of the keys."""
        return 2 / error.shape[-1] * error

    def link(self, A: Tensor) -> Weights:
        """W¹ (..., K, U), W² (..., U, K) and γ (..., 1, K) that follow from A (..., P)."""
        return unpacked(A, self.dims // self.heads)

    def momentum(self, told: Tensor) -> Tensor:
        """η of chunks, (..., 1), from the means (..., L) of what their keys tell."""
        return torch.zeros_like(told[..., :1])

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        name = type(self).__name__
        if mask is not None and mask.ndim == 3:
            raise UnsuitedError(f"{name} takes no mask of pairs: all queries share its memory")
        if self.config.alone and self.edit is not None:
            raise UnsuitedError(f"{name} has no rows of weights where its memory is alone")
        suited = isinstance(state, MemoryState) and (xa is not None or self.is_causal)
        if not (state is None or suited):
            raise UnsuitedError(f"{name} decodes where it is causal, with a state of its own")
        return super().forward(x, xa, mask, state=state, need_weights=need_weights)

    def new_state(self) -> State:
        return MemoryState()

    def project(self, x, xa, state=None):
        """Keys hold their logits in L columns more, until they are written."""
        if xa is not None and state is not None and state.keys is not None:
            return super().project(x, xa, KeyValueCache(state.keys, state.values, state.length))
        q, k, v = super().project(x, xa, state)
        told = self.split(self.tell(x if xa is None else xa))
        return q, torch.cat((k, told), dim=-1), v

    def combine(self, q, k, v, view):
        precise, given = torch.promote_types(q.dtype, torch.float32), q.dtype
        k, told = k.split((v.shape[-1], k.shape[-1] - v.shape[-1]), dim=-1)
        with torch.autocast(q.device.type, enabled=False):
            m = self.remembered(*(a.to(precise) for a in (q, k, v, told)), view)
        if view.cross and view.state is not None:
            view.state.keys, view.state.values, view.state.length = k, v, k.shape[2]
        if self.config.alone:
            return AttentionOutput(m.to(given))
        y, weights = self.near(q, k, v, view)
        return AttentionOutput(y * (2 * torch.sigmoid(self.gain * unit(m))).to(given), weights)

    def near(self, q: Tensor, k: Tensor, v: Tensor, view: View) -> tuple[Tensor, Tensor | None]:
        """Attention in the window, or to all of another sequence, and its weights."""
        if view.state is not None and not view.cross:
            k, v, seen = view.state.slide(k, v, view.mask, self.config.window)
            view = replace(view, S=k.shape[2], mask=seen)
        y, weights, _ = super().combine(q, k, v, view)
        return y, weights if weights is None or view.cross else weights[..., -view.T :]

    def remembered(self, q: Tensor, k: Tensor, v: Tensor, told: Tensor, view: View) -> Tensor:
        """What queries read of the memory, (B, H, T, K)."""
        C, T, state, q = self.config.chunk, view.T, view.state, unit(q)
        if view.cross and not told.shape[-1]:
            return answer(self.link(state.memory), q)[0]
        seen = torch.ones_like(k[..., :1])
        if view.mask is not None:
            seen = seen * view.mask[:, None, :, None]
        keys = torch.cat((unit(k), v, seen, seen * told), dim=-1)
        if view.causal:
            first = 0 if state is None else state.length % C
            N = (first + T) // C + 1
            keys, asked = laid(keys, first, N, C)[:, :, None], laid(q, first + 1, N, C)[:, :, None]
            reads, past, told = self.written(keys, asked, state)
            if state is not None:
                state.memory, state.told = torch.cat(past, dim=2), told[:, :, 0].clone()
                state.length += T
            return reads[:, :, 0].flatten(2, 3)[:, :, first + 1 : first + 1 + T]
        N = -(-view.S // C) + 1  # the last chunk is empty
        keys = laid(keys, 0, N, C)
        if view.cross:
            keys = keys[:, :, None]
            _, (A, *_), _ = self.written(keys, keys[..., :0, : q.shape[-1]])
            if state is not None:
                state.memory = A[:, :, 0]
            return answer(self.link(A[:, :, 0]), q)[0]
        keys = torch.stack((keys, keys.flip(2).roll(-1, dims=2)), dim=2)
        asked = torch.stack((laid(q, 1, N, C), laid(q, C - 1, N, C).flip(2)), dim=2)
        reads, *_ = self.written(keys, asked)
        left, right = reads[:, :, 0].flatten(2, 3), reads[:, :, 1].flip(2).flatten(2, 3)
        return (left[:, :, 1 : 1 + T] + right[:, :, C - 1 : C - 1 + T]) / 2

    def written(
        self, keys: Tensor, asked: Tensor, state: MemoryState | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Write chunk after chunk but the last, and before each read what is written so far.

        keys (B, H, R, N, C, 2 K + 1 + L) holds also values, 1 where a key is seen, and logits.
        Returns the answers to the asked (B, H, R, N, ·, K); A, S and the gradients of the last
        chunk, which stays open, (B, H, R, P) each; and what its keys have told, (B, H, R, 1 + L).
        """
        k, v, told = keys.split((asked.shape[-1], asked.shape[-1], 1 + self.logits), dim=-1)
        A = self.start.to(keys)[:, None].expand(*keys.shape[:3], -1)
        S, opened, sums = torch.zeros_like(A), None, told.sum(dim=-2)
        if state is not None and state.memory is not None:
            A, S, opened = state.memory[:, :, :, None].unbind(2)
            sums = sums + F.pad(state.told[:, :, None, None], (0, 0, 0, sums.shape[3] - 1))
        count, mean = sums[..., :1], sums[..., 1:] / sums[..., :1].clamp(min=1.0)
        keep = torch.where(count > 0, (-mean[..., 1:2]).sigmoid(), 1.0)  # of no keys, all is kept
        eta = torch.where(count > 0, self.momentum(mean), 1.0)
        adds = (count > 0).to(A)
        theta = self.config.rate * told[..., 1:2].sigmoid() * told[..., :1]
        columns = (k, v, theta, told[..., 1:], asked, keep, eta, adds)
        reads, last = [], keys.shape[3] - 1
        for t, (*these, queries, kept, moved, added) in enumerate(
            zip(*(a.unbind(3) for a in columns), strict=True)
        ):
            W = self.link(A)
            reads.append(answer(W, queries)[0])
            G = self.surprise(W, *these)
            if opened is not None:
                G, opened = G + opened, None
            if t < last:
                S = moved * S - G
                A = kept * A + added * S
        return torch.stack(reads, dim=3), (A, S, G), sums[..., -1, :]

    def surprise(self, W: Weights, k: Tensor, v: Tensor, theta: Tensor, told: Tensor) -> Tensor:
        """Σ θ ∇ℓ over the keys (..., C, K) of a chunk, packed: (..., P)."""
        said, within = answer(W, k)
        return gradient(W, k, within, theta * self.slope(said - v, told))
