"""Attention without pairs: every key is worth what its own query makes of it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention.base import AttentionOutput, Mechanism, UnsuitedError
from focused_attention.attention.state import State

CHUNK = 128  # positions whose rows are made at once
NOTHING = -1e30  # the level of no keys: beside any real one its weight is 0, and alone it is 1


@dataclass(kw_only=True, slots=True)
class Config:
    pass


class Pooled(State):
    """All keys so far as one: the log of their summed weights, and their values under these."""

    def __init__(self):
        self.length = 0
        self.level: Tensor | None = None  # (B, H, 1, 1)
        self.out: Tensor | None = None  # (B, H, 1, K)

    def reorder(self, index):
        if self.level is not None:
            self.level, self.out = self.level[index], self.out[index]


class NonapproximateAttention(Mechanism):
    """A_ij = exp(s_j) / Σ_l exp(s_l) over the keys l that i sees, s_j = SiLU(q_j) · k_j / √K.

    Non-approximate attention of Deconstructing Attention, https://arxiv.org/abs/2510.11602,
    equations 7, 8 and 18: a query meets the key of its own position alone, so all rows agree but
    for what they see, and a sequence is read in linear time with a state of one key. The paper
    found that it fails in every layer and serves in every other one.

    Deviation: both directions are an extension, in which all positions read the same. A temperature
    divides s, not what SiLU is given. Not offered as cross-attention: there, no key has a query.

    Cost: 2 B T D multiplications for scores and values in both directions, B T D (1 + CHUNK) and
    4 B H CHUNK² bytes of weights (float32) at a time if causal, 4 B H T S when asked for.

    >>> layer = NonapproximateAttention(Config(), dims=32, heads=4)
    >>> layer(torch.randn(2, 9, 32), need_weights=True).weights.diff(dim=2).any()
    tensor(False)
    """

    cross = False
    recurrent = True
    neutral = "a query meets no key but its own, so the rows of its source are lost"

    def new_state(self):
        return Pooled()

    def combine(self, q, k, v, view):
        if view.state is not None and view.edit is not None:
            raise UnsuitedError("a state of one key has no single keys to edit")
        scores, weights = self.scores(q, k)[:, :, None], None  # (B, H, 1, S)
        level, out = scores.new_full((1, 1, 1, 1), NOTHING), scores.new_zeros(1, 1, 1, 1)
        if view.state is not None and view.state.level is not None:
            level, out = view.state.level, view.state.out
        if view.explicit or (view.mask is not None and view.mask.ndim == 3):
            rows, level = shares(level, scores.expand(-1, -1, view.T, -1), view.pairs())
            read, weights = view.read(rows[..., 1:].to(v.dtype), v)
            out = rows[..., :1] * out + read
        else:
            seen = None if view.mask is None else view.mask[:, None, None]  # (B, 1, 1, S)
            run = self.causally if view.causal else self.at_once
            level, out = run(scores, v.to(scores.dtype), seen, level, out)
        if view.state is not None:
            view.state.level, view.state.out = level, out[:, :, -1:].clone()
            view.state.length += view.T
        return AttentionOutput(out.to(v.dtype), weights)

    def at_once(self, scores, v, seen, level, out) -> tuple[Tensor, Tensor]:
        """The level of all keys, and the output of every position, which is the same."""
        rows, level = shares(level, scores, seen)
        out = rows[..., :1] * out + rows[..., 1:] @ v
        return level, out.expand(v.shape)

    def causally(self, scores, v, seen, level, out) -> tuple[Tensor, Tensor]:
        """The level after the last key, and the output of every position, chunk after chunk."""
        chunks = scores.split(CHUNK, dim=-1), v.split(CHUNK, dim=2)  # slices' gradients are as long
        hidden = [None] * len(chunks[0]) if seen is None else seen.split(CHUNK, dim=-1)
        outs = []
        for of, values, some in zip(*chunks, hidden, strict=True):
            n = values.shape[2]
            past = torch.ones(n, n, dtype=torch.bool, device=v.device).tril()
            past = past if some is None else past & some
            rows, level = shares(level, of.expand(-1, -1, n, -1), past)
            outs.append(rows[..., :1] * out + rows[..., 1:] @ values)
            out = outs[-1][:, :, -1:]
        return level, torch.cat(outs, dim=2)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        """s, (B, H, S), at least in single precision."""
        heat = None if self.heat is None else self.heat.to(q)[:, None]
        q = q if heat is None else q * heat[..., None]
        s = (F.silu(q) * k).sum(dim=-1) * q.shape[-1] ** -0.5
        return (s if heat is None else s / heat).to(torch.promote_types(s.dtype, torch.float32))


def shares(level: Tensor, scores: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weights (B, H, T, 1 + S) of what went before and of each key, and the new level of all.

    The last query sees all keys that are not masked. A row that sees nothing is all of no keys.
    """
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    logits = torch.cat((level.expand(*scores.shape[:-1], 1), scores), dim=-1)
    return logits.softmax(dim=-1), logits[:, :, -1:].logsumexp(dim=-1, keepdim=True)
