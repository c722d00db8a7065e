"""Softmax attention in which positions that attend alike attend the same."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.segments import Segments, plain_rows, seen_frames
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    tau: float = 1.0  # KL divergence, both ways together, up to which rows are alike, in nats
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class RowClusterAttention(Mechanism):
    """Ā v, where rows i of A = softmax(q kᵀ / √K) with D ≤ τ are replaced by their mean.

    Betrayed by Attention, https://arxiv.org/abs/2311.17893, `hierarchical_cluster` of
    shvdiwnkozbw/SSL-UVOS: D(p, r) = KL(p‖r) + KL(r‖p) of two rows, each a mean over heads. Every
    row is first replaced by the mean of those it is like; then, from the first on, a row gathers
    all that are like it and not gathered yet, and they become their mean, until no more do. A
    position belongs to the mean that is nearest to its own row. These are its segments; no gradient
    flows through the choice, and a mean passes it to its rows.

    Deviation: there the clusters are objects of a video, and masks are all that is made of them;
    here the rows of each head are replaced, an extension. Windows of three frames, a shortcut of
    the code, and the confidence of its training are left out. A temperature leaves the clusters
    alone.

    Cost: B T S (2 D + T) multiplications, and again P² S in each of some rounds with P means left;
    12 B T S bytes for a time (float64).

    >>> layer = RowClusterAttention(Config(tau=0.02), dims=32, heads=4)
    >>> weights = layer(torch.randn(1, 50, 32), need_weights=True).weights[0, 0]
    >>> len(weights.unique(dim=0)) < 50
    True
    """

    causal = False  # a row's cluster may hold later rows
    cross = False  # and a text's rows would tell of words to come
    neutral = "whisper", {"tau": 0.0}

    def setup(self, config):
        checks.not_negative(tau=config.tau)

    def combine(self, q, k, v, view):
        clusters = self.clusters(q, k, view)
        if not view.explicit:
            out, _ = softmax_attention(q, k, v, view, view.pairs())
            return AttentionOutput(replaced(out, clusters))
        scores, seen = (q * q.shape[-1] ** -0.5) @ k.mT, view.pairs()
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = scores.softmax(dim=-1)
        if seen is not None:
            weights = weights.masked_fill(~seen, 0.0)
        return AttentionOutput(*view.read(replaced(weights, clusters), v))

    def clusters(self, q: Tensor, k: Tensor, view: View) -> Segments:
        seen = seen_frames(self, view).expand(len(q), -1)[:, view.S - view.T :]
        rows = plain_rows(self, q, k, view).double().mean(dim=1)  # (B, T, S)
        of = torch.zeros_like(seen, dtype=torch.long)
        for item, own, alive in zip(rows, of, seen, strict=True):
            if alive.any():
                own[alive] = alike(item[alive], self.config.tau)
        return Segments.build(of, seen)


def replaced(rows: Tensor, clusters: Segments) -> Tensor:
    """Rows (B, H, T, ·) by the means of their clusters; those of padding stay."""
    means = clusters.pool(rows).take_along_dim(clusters.of[:, None, :, None], dim=2)
    return means.where(clusters.share[:, None, :, None] > 0, rows)


def distances(p: Tensor, r: Tensor) -> Tensor:
    """KL(p‖r) + KL(r‖p) of distributions (n, S) and (m, S), (n, m)."""
    tiny = torch.finfo(p.dtype).tiny
    log_p, log_r = p.clamp(min=tiny).log(), r.clamp(min=tiny).log()
    own = (p * log_p).sum(dim=1)[:, None] + (r * log_r).sum(dim=1)
    return own - p @ log_r.mT - log_p @ r.mT


def alike(rows: Tensor, tau: float) -> Tensor:
    """The cluster (n,) of every row of weights (n, S)."""
    near = near_or_self(rows, tau).to(rows.dtype)
    means, before = near @ rows / near.sum(dim=1, keepdim=True), 0
    while len(means) != before:
        before, gathered = len(means), []
        free = torch.ones(before, dtype=torch.bool, device=rows.device)
        for i, near in enumerate(near_or_self(means, tau)):
            if free[i]:
                gathered.append(means[near & free].mean(dim=0))
                free &= ~near
        means = torch.stack(gathered)
    return distances(rows, means).argmin(dim=1)


def near_or_self(rows: Tensor, tau: float) -> Tensor:
    """Which rows (n, S) are at most tau apart, (n, n); rounding parts none from itself."""
    logs = rows.clamp(min=torch.finfo(rows.dtype).tiny).log()
    own, across = (rows * logs).sum(dim=1), rows @ logs.mT
    apart = own[:, None] + own - across - across.mT  # `distances` of all, by half its products
    return (apart <= tau).fill_diagonal_(True)
