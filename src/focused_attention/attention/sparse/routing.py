"""Softmax attention among queries and keys that are near to the same centroid."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.view import View
from focused_attention.attention.windows import blocks, neighbours, window_attention

STEPS = 10  # of k-means, on the first batch that is trained on


@dataclass(kw_only=True, slots=True)
class Config:
    clusters: int = 24  # centroids of a head: Whisper's 1500 frames in windows of 64
    window: int = 64  # queries and as many keys of a cluster
    decay: float = 0.999  # of the running mean of the centroids
    commitment: float = 1e-4  # of the loss that draws queries and keys to their centroids
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class RoutingAttention(Mechanism):
    """Every centroid μ takes the w nearest queries and the w nearest keys, which attend within.

    Routing Transformer, https://arxiv.org/abs/2003.05997, as in lucidrains/routing-transformer
    (released as 1.6.1). Near is q · μ of unit lengths; a query that several centroids take gets the
    mean of what they find, one that none takes gets nothing. The centroids are no parameters: in
    training they are made by k-means of the first batch and follow as a running mean, and the loss
    is commitment · mean (x - μ_x)² over queries and keys x of unit length, μ_x the nearest.

    Deviation: the w nearest of a sequence depend on what comes later, which the code ignores. Here,
    causal, a token belongs to the centroid nearest to its key, and sees of these keys the last w up
    to itself: the paper's own formula, cut. In cross-attention a query reads the keys of the one
    centroid nearest to it. Padding takes no place of another, except among the last w. Centroids
    move in the forward pass, and in training alone; the code's are made at their first use. Left
    out: the learned key and value of a cluster, since a causal token sees itself; and local heads.

    Cost: B H T clusters K multiplications to route and 2 B clusters w² D to attend, causal 2 B T w
    D; no rows of weights are kept.

    >>> layer = RoutingAttention(Config(clusters=4, window=8), dims=32, heads=4).eval()
    >>> weights = layer(torch.randn(1, 100, 32), need_weights=True).weights
    >>> bool(weights[0, 0].sum(dim=-1).count_nonzero() <= 4 * 8)
    True
    """

    normalised = False
    neutral = "whisper", {"clusters": 1, "window": 10**9}

    def setup(self, config):
        checks.positive(clusters=config.clusters, window=config.window)
        checks.not_negative(commitment=config.commitment, decay=config.decay)
        if not config.decay < 1:
            raise ValueError(f"decay: expected a number below 1, given {config.decay!r}")
        means = torch.randn(self.heads, config.clusters, self.dims // self.heads)
        self.register_buffer("means", F.normalize(means, dim=-1))
        self.register_buffer("placed_by_data", torch.tensor(False))

    def combine(self, q, k, v, view):
        valid, losses = self.valid(view), {}
        with torch.autocast(q.device.type, enabled=False):
            precise = torch.promote_types(q.dtype, torch.float32)
            units = [F.normalize(x.to(precise), dim=-1) for x in (q, k)]
            points = self.points(units, valid, view) if self.training else units[0][0, :, :0]
            self.start(points.detach())
            near_q, near_k = (x.detach() @ self.means.to(precise).mT for x in units)
            if self.training:
                losses = {"commitment": self.follow(points)}
        if view.causal:
            return AttentionOutput(*self.within(near_k.argmax(dim=-1), q, k, v, view), losses)
        count = min(self.config.window, view.S)
        keys = nearest(near_k, valid, count)  # (B, H, C, w)
        if view.cross:
            own = near_q.argmax(dim=-1)[..., None]  # (B, H, T, 1)
            keys = keys.take_along_dim(own, dim=2)
            queries = torch.arange(view.T, device=q.device)[:, None].expand_as(own)
        else:
            queries = nearest(near_q, valid[:, view.S - view.T :], min(count, view.T))
        return AttentionOutput(*gathered(q, k, v, view, queries, keys, valid), losses)

    def valid(self, view: View) -> Tensor:
        """The keys that are no padding, (B or 1, S) bool."""
        if view.mask is None:
            return torch.ones(1, view.S, dtype=torch.bool, device=view.x.device)
        return view.mask if view.mask.ndim == 2 else view.mask.any(dim=1)

    def within(self, own: Tensor, q: Tensor, k: Tensor, v: Tensor, view: View):
        """Causal attention among the tokens of a centroid, `own` (B, H, S), the last w of them."""
        window, T, S, mask = self.config.window, view.T, view.S, view.mask
        size = -(-window // 8) * 8
        by_pairs = mask is not None and mask.ndim == 3
        if view.explicit or by_pairs or T != S or 2 * size >= T:
            turn = F.one_hot(own).cumsum(dim=2).take_along_dim(own[..., None], dim=3)  # 1, 2, ...
            away = turn[:, :, S - T :] - turn.mT
            seen = (own[:, :, S - T :, None] == own[:, :, None]) & (away >= 0) & (away < window)
            return softmax_attention(q, k, v, view, seen if mask is None else seen & view.pairs())
        order = own.argsort(dim=-1, stable=True)[..., None]  # a centroid's tokens side by side
        q, k, v = (x.take_along_dim(order, dim=2) for x in (q, k, v))
        mine = blocks(own[..., None].take_along_dim(order, dim=2) + 1, size)  # 0: behind the end
        alive = mine > 0
        if mask is not None:
            alive = blocks(mask[:, None, :, None].take_along_dim(order, dim=2), size)
        theirs = neighbours(mine * alive, 1, 0).mT
        keys = torch.arange(2 * size, device=q.device)
        away = keys[size:, None] - keys
        seen = (mine == theirs) & (theirs > 0) & (away >= 0) & (away < window)
        scaled = q * q.shape[-1] ** -0.5
        out, _ = window_attention(scaled, k, v, None, seen, size=size, before=1, after=0)
        return out.take_along_dim(order.argsort(dim=2), dim=2), None

    def points(self, units: list[Tensor], valid: Tensor, view: View) -> Tensor:
        """The queries and keys that are no padding, (H, tokens, K)."""
        keys = valid.expand(len(units[0]), -1)
        queries = keys[:, view.S - view.T :]
        if view.cross:
            queries = torch.ones_like(keys[:, :1]).expand(-1, view.T)
        chosen = torch.cat((queries, keys), dim=1)
        return torch.cat(units, dim=2).transpose(1, 2)[chosen].transpose(0, 1)

    def start(self, points: Tensor) -> None:
        """Place the centroids by k-means of the first points (H, tokens, K) that there are."""
        if self.placed_by_data or not points.shape[1]:
            return
        first = torch.randperm(points.shape[1], device=points.device)
        first = first[torch.arange(self.config.clusters, device=points.device) % len(first)]
        means = points[:, first]
        for _ in range(STEPS):
            means = step(points, means)
        self.means.copy_(means)
        self.placed_by_data.fill_(True)

    def follow(self, points: Tensor) -> Tensor:
        """Move the centroids a little towards the points; the loss is of where they were."""
        if not points.shape[1]:
            return points.sum()
        means = self.means.to(points.dtype)
        own = (points.detach() @ means.mT).argmax(dim=-1, keepdim=True)
        target = means.take_along_dim(own, dim=1)
        self.means.lerp_(step(points.detach(), means).to(self.means), 1 - self.config.decay)
        return self.config.commitment * F.mse_loss(points, target)


def nearest(near: Tensor, valid: Tensor, count: int) -> Tensor:
    """The `count` nearest to every centroid of (B, H, n, C), valid ones first: (B, H, C, count)."""
    return near.masked_fill(~valid[:, None, :, None], -torch.inf).mT.topk(count, dim=-1).indices


def step(points: Tensor, means: Tensor) -> Tensor:
    """A step of spherical k-means of (H, tokens, K); a centroid without tokens stays."""
    own = (points @ means.mT).argmax(dim=-1, keepdim=True)  # (H, tokens, 1)
    sums = torch.zeros_like(means).scatter_add(1, own.expand_as(points), points)
    count = torch.zeros_like(means[..., :1]).scatter_add(1, own, torch.ones_like(points[..., :1]))
    return torch.where(count > 0, F.normalize(sums, dim=-1), means)


def gathered(
    q: Tensor, k: Tensor, v: Tensor, view: View, queries: Tensor, keys: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Attention of groups of queries (B, H, C, w) to groups of keys (B, H, C, u).

    A query in several groups gets the mean, in none zero. Returns (B, H, T, K) and the weights.
    """
    (B, H, T, K), S = q.shape, k.shape[2]
    groups, seen = keys.shape[2], None
    if view.mask is not None:
        seen = valid[:, None, :, None].take_along_dim(keys.flatten(2)[..., None], dim=2)
        seen = seen.view(B, H * groups, 1, -1)
        if view.mask.ndim == 3:
            b = torch.arange(B, device=q.device)[:, None, None, None, None]
            pairs = view.mask.expand(B, -1, -1)[b, queries[..., None], keys[..., None, :]]
            seen = pairs.flatten(1, 2)
    parts = (q, queries), (k, keys), (v, keys)
    parts = (
        x.take_along_dim(index.flatten(2)[..., None], dim=2).view(B, H * groups, -1, K)
        for x, index in parts
    )
    plain = replace(view, need_weights=view.explicit, edit=None)
    found, weights = softmax_attention(*parts, plain, seen)
    index = queries.flatten(2)
    count = q.new_zeros(B, H, T).scatter_add(2, index, torch.ones_like(index, dtype=q.dtype))
    count = count.clamp(min=1)[..., None]
    if weights is None:
        found = found.view(B, H, -1, K)
        out = torch.zeros_like(q).scatter_add(2, index[..., None].expand_as(found), found)
        return out / count, None
    cells = (queries[..., None] * S + keys[..., None, :]).flatten(2)
    rows = q.new_zeros(B, H, T * S).scatter_add(2, cells, weights.reshape(B, H, -1))
    return view.read(rows.view(B, H, T, S) / count, v)
