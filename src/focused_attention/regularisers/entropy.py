"""The entropy of attention as a loss: it is kept high, or with a negative weight made low."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.regularisers.base import (
    SLOTS,
    Attention,
    Objective,
    Regulariser,
    Slot,
    added,
    shown,
)


@dataclass(kw_only=True, slots=True)
class Config:
    weight: float = 0.1  # above 0: entropy is maximised; below: attention is sharpened
    slot: Slot = "cross"

    def __post_init__(self):
        if self.slot not in SLOTS:
            raise ValueError(
                f"regularisers: entropy: slot: unknown {self.slot!r}; choose {', '.join(SLOTS)}"
            )
        if isinstance(self.weight, bool) or not isinstance(self.weight, int | float):
            raise ValueError(
                f"regularisers: entropy: weight: expected a number, given {self.weight!r}"
            )


class Entropy(Regulariser):
    """L = CE + λ mean_i Σ_j A_ij log A_ij over the rows i of all heads, with λ the `weight`.

    AEM, attention entropy maximisation, https://arxiv.org/abs/2406.15303, λ = 0.1 there. Rows of
    padding and keys that a row may not see do not count, and rows are divided by their sum, so that
    weights that do not sum to one are taken as a distribution. Layers count alike. The log has the
    mean entropy in nats, as `entropy`.
    """

    def wrap(self, objective: Objective) -> Objective:
        def losses(model, batch, params):
            with shown(model, batch, self.config.slot) as layers:
                parts = objective(model, batch, params)
            entropy = torch.stack([mean_entropy(layer) for layer in layers]).mean()
            return added(parts, "entropy", entropy, -self.config.weight)

        return losses


def mean_entropy(layer: Attention) -> Tensor:
    """Entropy in nats of a layer's rows, a mean over items, heads and those rows that count.

    Weights of zero add nothing, to the gradient neither.
    """
    weights = layer.weights.to(torch.promote_types(layer.weights.dtype, torch.float32))
    mass = weights.abs() * layer.visible  # (B, H, T, S)
    tiny = torch.finfo(mass.dtype).tiny
    p = mass / mass.sum(dim=-1, keepdim=True).clamp(min=tiny)
    entropies = -(p * p.clamp(min=tiny).log()).sum(dim=-1)  # (B, H, T)
    rows = layer.rows[:, None].expand_as(entropies)
    return entropies[rows].mean()
