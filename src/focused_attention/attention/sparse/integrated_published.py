"""Integrated attention as published, mistakes included: for comparison, never for use."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.focus import Spans
from focused_attention.attention.modules.integrated import IntegratedAttention, Refiner


@dataclass(kw_only=True, slots=True)
class Config:
    max_dist: int = 512  # keys of a window that are kept at most, in frames
    win_size: int = 256  # longest window, in frames
    max_span: int = 384  # longest span, in frames
    temp_scale: float = 0.01  # how much the span would move the temperature; changes nothing
    action: int | None = None  # of the learner's ten, taken always; None: as it learns
    seed: int = 0  # of the learner's draws


class IntegratedPublished(Mechanism):
    """`IntegratedAttention` as a mechanism. Weights, on request, are the global branch's.

    Deviation: so that runs repeat, each layer's learner draws from a generator of its own, and in
    evaluation it takes its best action without drawing or learning. Not offered as causal: both
    branches hide the future, but the span and the learner's state are of the whole batch.

    Cost: 2 B T² D multiplications of the global branch and up to 20 B T w D of the local one, in
    windows of w ≤ win_size frames.

    >>> layer = IntegratedPublished(Config(action=9), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    causal = False
    cross = False
    masked = False
    tempered = False
    projected = False
    neutral = "each of its branches has a layer normalisation of its own"

    def setup(self, config):
        self.integrated = IntegratedAttention(
            0, self.dims, self.heads,
            config.max_dist, config.win_size, config.max_span, config.temp_scale,
        )  # fmt: skip
        known = self.integrated.refiner
        checks.choice("action", str(config.action), ("None", *map(str, range(known.actions))))
        random = np.random.RandomState([config.seed, self.layer])
        self.integrated.refiner = Held(known.states, known.actions, config.action, random)

    def placed(self, weights):
        """The global branch becomes the source, and what it writes at first the output.

        Its queries are multiplied by √K, by which the published scale is too small.
        """
        names = {part: f"attn_global.{part}_module.proj" for part in ("query", "key", "value")}
        names["out"] = "attn_global.combiner.out"
        places = {}
        for name, weight in weights.items():
            part, _, kind = name.partition(".")
            weight = weight * (self.dims // self.heads) ** 0.5 if part == "query" else weight
            places[f"integrated.{names.get(part, part)}.{kind}"] = weight
        joined = self.integrated.projection
        eye = torch.eye(self.dims, device=joined.weight.device)
        return places | {
            "integrated.projection.weight": torch.cat((torch.zeros_like(eye), eye), dim=1),
            "integrated.projection.bias": torch.zeros_like(joined.bias),
        }

    def spans(self, x: Tensor, xa: None = None, mask: Tensor | None = None) -> Spans:
        """Span in frames under the learner's best action, one for the whole batch, as published.

        Beside the temperature of the fused scores, which is none.
        """
        inner = self.integrated
        inner.refiner.still = True
        globe = inner.ln_b(x)
        action = inner.refiner.choose_action(inner.extract(inner.ln_a(x)))
        scale = inner.span_scale(inner.attn_global(globe, globe, globe), action).mean()
        span = (inner.max_span * scale).expand(x.shape[0], self.heads, 1)
        return Spans(span, torch.ones_like(span))

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        checks.sequence("x", x, self.dims, self.integrated.ln_b.weight.device)
        self.integrated.refiner.still = not self.training
        out = self.integrated(x)
        return AttentionOutput(out, self.weights(x) if need_weights else None)

    def weights(self, x: Tensor) -> Tensor:
        """Of the global branch, (B, H, T, T)."""
        globe, attention = self.integrated.ln_b(x), self.integrated.attn_global
        q, k = attention.query_module(globe), attention.key_module(globe)
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        return (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(future, -torch.inf).softmax(dim=-1)


class Held(Refiner):
    """The published learner, which can be held still, and be told its action."""

    def __init__(self, states, actions, action: int | None, random: np.random.RandomState):
        super().__init__(states, actions)
        self.action, self.random, self.still = action, random, False

    def choose_action(self, state):
        if self.action is not None:
            return self.action
        return int(np.argmax(self.values(state))) if self.still else super().choose_action(state)

    def update(self, state, action, reward, next_state):
        if not self.still:
            super().update(state, action, reward, next_state)
