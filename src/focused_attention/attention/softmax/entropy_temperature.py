"""Entropy-guided attention: learned temperatures, and a loss on entropies far from a threshold."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    start: float = 1.0  # temperature before training
    positions: int = 1  # of queries that have their own temperature; later ones share the last
    weight: float = 1e-5  # λ, of the loss; 0: none
    margin: float = 0.2  # γ, a share of the largest entropy that is allowed either side
    threshold: float = 0.5  # θ before training, a share of the largest entropy
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class EntropyTemperatureAttention(Mechanism):
    """softmax(q kᵀ / (t √K)) v with a learned t for every head and, up to `positions`, query.

    Entropy-guided attention, https://arxiv.org/abs/2501.03489. In training each layer adds
    Algorithm 1's loss λ mean δ² 1(|δ| > γ Eₘₐₓ), δ = Ē - θ Eₘₐₓ, with Ē the mean entropy of a
    head's rows and θ learned per head; a mean over heads and layers, and over items.

    Deviation: the paper has t for all T positions (here one unless `positions` says more; in
    cross-attention always one) and starts it at 0.01 or 0.1, by data set; here exp of what is
    learned, from 1. Eₘₐₓ = log T is the mean of log n here, n the keys that a query sees, so
    causality and padding count. θ's start and the mean over items are reconstructed. The released
    code applies the threshold to every row and sums over rows and items: its λ weighs B T times as
    much.

    Cost: 2 B H T S K multiplications, no rows kept; with the loss, in training, 8 B H T S bytes.

    >>> layer = EntropyTemperatureAttention(Config(weight=1.0), dims=32, heads=4)
    >>> loss = layer(torch.zeros(1, 9, 32)).losses["entropy"]  # uniform: Ē - θ Eₘₐₓ = ½ log 9
    >>> round(loss.item(), 4) == round((0.5 * math.log(9)) ** 2, 4)
    True
    """

    neutral = "whisper", {"weight": 0.0}

    def setup(self, config):
        checks.positive(start=config.start, positions=config.positions)
        checks.not_negative(weight=config.weight, margin=config.margin, threshold=config.threshold)
        level = torch.full((self.heads, config.positions), math.log(config.start))
        self.level = nn.Parameter(level)  # log t
        if config.weight:
            self.theta = nn.Parameter(torch.full((self.heads,), config.threshold))

    def combine(self, q, k, v, view):
        q, seen = q / self.temperatures(view).to(q.dtype), view.pairs()
        if not (self.config.weight and self.training and view.state is None):
            return AttentionOutput(*softmax_attention(q, k, v, view, seen))
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if seen is not None:
            blind = ~seen.any(dim=-1, keepdim=True)  # stays finite
            scores = scores.masked_fill(~(seen | blind), -torch.inf)
        total = scores.logsumexp(dim=-1, keepdim=True)
        weights = (scores - total).exp()
        if seen is not None:
            weights, scores = (x.masked_fill(~seen, 0.0) for x in (weights, scores))
        entropy = total[..., 0] - (weights * scores).sum(dim=-1)  # (B, H, T)
        loss = self.config.weight * self.penalty(entropy, view, seen) / view.depth
        return AttentionOutput(*view.read(weights, v), {"entropy": loss})

    def temperatures(self, view: View) -> Tensor:
        """t of the queries of a call, (H, T or 1, 1)."""
        last = self.config.positions - 1
        if view.cross or not last:  # in cross-attention a step knows no position
            return self.level[:, -1:, None].exp()
        at = torch.arange(view.S - view.T, view.S, device=self.level.device).clamp(max=last)
        return self.level[:, at, None].exp()

    def penalty(self, entropy: Tensor, view: View, seen: Tensor | None) -> Tensor:
        """Algorithm 1 for one layer, without λ, from the entropies (B, H, T) of its rows."""
        rows = torch.ones_like(entropy[:, :1], dtype=torch.bool)  # (B, 1, T), those that count
        if seen is not None:
            rows = rows & seen.any(dim=-1)
        if view.mask is not None and view.mask.ndim == 2 and not view.cross:
            rows = rows & view.mask[:, None, view.S - view.T :]  # no padding
        n = view.counts()[..., 0].clamp(min=1).to(entropy.dtype)
        count = rows.sum(dim=-1).clamp(min=1)  # (B, 1)
        mean = (entropy * rows).sum(dim=-1) / count  # (B, H)
        largest = (n.log() * rows).sum(dim=-1) / count
        deviation = mean - self.theta * largest
        outside = deviation.abs() > self.config.margin * largest
        return (deviation.square() * outside).mean()
