"""Softmax attention that reaches a block of keys through its landmark."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.view import View
from focused_attention.attention.windows import blocks

CHUNK = 128  # queries whose weights are computed, or chosen blocks gathered, at once


@dataclass(kw_only=True, slots=True)
class Config:
    block: int = 50  # positions of a block
    top_k: int | None = None  # other blocks that a query reads when not training; None: all
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class LandmarkAttention(Mechanism):
    """Own keys and the landmarks of other blocks share a softmax, and a landmark opens its block.

    Landmark Attention, https://arxiv.org/abs/2305.16300, as in epfml/landmark-attention
    `lm_benchmark/models/landmark.py`. With scores S = q kᵀ / √K, own block o and landmark scores L,
    the weight of key j is exp(S_ij) / Z_i in o and softmax_block(S_i)_j exp(L_ib) / Z_i in block b,
    Z_i = Σ_o exp(S_ij) + Σ_b exp(L_ib). When not training, the `top_k` best blocks may be read
    alone, by every head and query.

    Deviation: in the source a landmark is a token of the text, which reads its block in the layers
    below. Here the layer makes it: its key is Σ_j softmax_block(r · k_j / √K) k_j + e, with a query
    r and an embedding e of every head, both zero at first, and L gets log n of the block's keys, so
    that a layer begins near plain attention, and at it where the keys of a block are alike. Blocks
    ahead and, in cross-attention, all blocks through landmarks are extensions.

    Cost: 2 B T S D multiplications, 20 B H T S bytes where gradients are kept; with `top_k`, when
    not training, B T D (S / block + 2 (top_k + 1) block) multiplications.

    >>> layer = LandmarkAttention(Config(block=10, top_k=2), dims=32, heads=4).eval()
    >>> weights = layer(torch.randn(1, 100, 32), need_weights=True).weights
    >>> weights[0, 0, 55].count_nonzero()
    tensor(30)
    """

    neutral = "whisper", {"block": 10**9}

    def setup(self, config):
        checks.positive(block=config.block, top_k=config.top_k)
        self.reader = nn.Parameter(torch.zeros(self.heads, self.dims // self.heads))
        self.landmark = nn.Parameter(torch.zeros(self.heads, self.dims // self.heads))

    def combine(self, q, k, v, view):
        q, by_pairs = q * q.shape[-1] ** -0.5, view.mask is not None and view.mask.ndim == 3
        through = self.through_pairs(q, k, view) if by_pairs else self.through(q, k, view)
        places = torch.arange(view.S - view.T, view.S, device=q.device)[:, None]
        own = torch.full_like(places, -1) if view.cross else places // self.config.block
        if self.kept(view) and not (view.explicit or by_pairs):
            return AttentionOutput(self.chosen(q, k, v, through, own, view))
        seen = view.pairs()
        if seen is None:
            seen = torch.ones(1, 1, 1, view.S, dtype=torch.bool, device=q.device)
        if view.explicit:
            return AttentionOutput(*view.read(self.weights(q, k, through, seen, own, view), v))
        seen = seen.expand(-1, -1, view.T, -1)
        parts = (x.split(CHUNK, dim=-2) for x in (q, through, seen, own))
        out = [
            self.weights(queries, k, *rows, view) @ v for queries, *rows in zip(*parts, strict=True)
        ]
        return AttentionOutput(torch.cat(out, dim=2))

    def kept(self, view: View) -> int | None:
        """How many blocks beside its own a query reads; None: all."""
        kept, n = self.config.top_k, -(-view.S // self.config.block)
        return None if self.training or kept is None or kept >= n else kept

    def cut(self, x: Tensor, dim: int) -> Tensor:
        """Axis `dim` of x (S) in n blocks of l, the last one filled with zeros."""
        return blocks(x, min(self.config.block, x.shape[dim]), dim)

    def read(self, k: Tensor, seen: Tensor) -> Tensor:
        """The share of a key in its landmark, among the seen (..., n, l)."""
        return softmax(self.cut(self.reader[:, None] * k.shape[-1] ** -0.5 @ k.mT, 3), seen)

    def through(self, q: Tensor, k: Tensor, view: View) -> Tensor:
        """The landmarks' scores L (B, H, T, n), where all queries see the same keys of a block."""
        seen = torch.ones(1, view.S, dtype=torch.bool, device=q.device)
        seen = self.cut(seen if view.mask is None else view.mask, 1)[:, None, None]
        share = self.read(k, seen)[:, :, 0, :, None]  # (B, H, n, 1, l)
        landmarks = (share @ self.cut(k, 2))[..., 0, :] + self.landmark[:, None]  # (B, H, n, K)
        return q @ landmarks.mT + seen.sum(dim=-1).clamp(min=1).to(q.dtype).log()

    def through_pairs(self, q: Tensor, k: Tensor, view: View) -> Tensor:
        """The same where a query sees its own keys of a block, of which its landmark is made."""
        seen = self.cut(view.pairs(), 3)
        found = (self.read(k, seen) * self.cut(q @ k.mT, 3)).sum(dim=-1)
        return (
            found + q @ self.landmark[:, :, None] + seen.sum(dim=-1).clamp(min=1).to(q.dtype).log()
        )

    def weights(self, q, k, through, seen, own, view) -> Tensor:
        """The rows of weights (B, H, T, S) of some queries, computed one by one."""
        scores, seen = self.cut(q @ k.mT, 3), self.cut(seen, 3)  # (B, H, T, n, l)
        own = own == torch.arange(scores.shape[3], device=q.device)
        alive, kept = seen.any(dim=-1), self.kept(view)
        if kept:
            others = through.masked_fill(own | ~alive, -torch.inf)
            best = others.topk(kept, dim=-1).indices
            best = torch.zeros_like(others, dtype=torch.bool).scatter(-1, best, True)
            alive = alive & (own | best)
        scores = scores.masked_fill(~seen, -torch.inf)
        between = softmax(torch.where(own, scores.logsumexp(dim=-1), through), alive)
        inside = scores.softmax(dim=-1).masked_fill(~seen, 0.0)
        return (inside * between[..., None]).flatten(3)[..., : view.S]

    def chosen(self, q, k, v, through, own, view) -> Tensor:
        """The same from the keys of the chosen blocks alone, (B, H, T, K)."""
        (B, H), S, T, size = q.shape[:2], view.S, view.T, self.config.block
        alive = torch.ones(1, S, dtype=torch.bool, device=q.device)
        alive = self.cut(alive if view.mask is None else view.mask, 1).expand(B, -1, -1)
        k, v, n = self.cut(k, 2), self.cut(v, 2), torch.arange(through.shape[3], device=q.device)
        hidden = ~alive.any(dim=-1)[:, None, None] | (n == own)
        if view.causal:
            hidden = hidden | (n > own)
        best = through.masked_fill(hidden, -torch.inf).topk(self.config.top_k, dim=-1)
        item = torch.arange(B, device=q.device)[:, None, None, None]
        head, key = torch.arange(H, device=q.device)[:, None, None], torch.arange(size).to(q.device)
        out = []
        for part in torch.arange(T, device=q.device).split(CHUNK):
            index, through = best.indices[:, :, part], best.values[:, :, part]
            if not view.cross:
                index = torch.cat((own[part].expand(B, H, -1, 1), index), dim=-1)
            seen = alive[item, index]  # (B, H, t, 1 + top_k, l)
            if view.causal:
                seen = seen & (index[..., None] * size + key <= S - T + part[:, None, None])
            scores = (k[item, head, index] @ q[:, :, part, None, :, None])[..., 0]
            scores = scores.masked_fill(~seen, -torch.inf)
            if not view.cross:
                whole = scores[..., :1, :].logsumexp(dim=-1)
                through = torch.cat((whole, through), dim=-1)
            weights = scores.softmax(dim=-1).masked_fill(~seen, 0.0)
            weights = weights * softmax(through, through > -torch.inf)[..., None]
            values = v[item, head, index].flatten(3, 4)  # (B, H, t, (1 + top_k) l, K)
            out.append((weights.flatten(3)[..., None, :] @ values)[..., 0, :])
        return torch.cat(out, dim=2)


def softmax(scores: Tensor, seen: Tensor) -> Tensor:
    """softmax over the last axis among what is seen; zero where nothing is."""
    return scores.masked_fill(~seen, -torch.inf).softmax(dim=-1).masked_fill(~seen, 0.0)
