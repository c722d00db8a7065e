"""How it is minimised: AdamW, with warm-up and half a cosine."""

import math

import torch

from focused_attention.models import SpeechModel
from focused_attention.params import Train


def learning_rate(step: int, params: Train) -> float:
    """Linear warm-up, then half a cosine down to zero; `step` counts from 1."""
    if step <= params.warmup:
        return params.learning_rate * step / params.warmup
    progress = (step - params.warmup) / max(1, params.steps - params.warmup)
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def optimiser(model: SpeechModel, params: Train) -> torch.optim.AdamW:
    """AdamW (https://arxiv.org/abs/1711.05101); vectors and embeddings are not decayed."""
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embedding" not in n]
    chosen = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return torch.optim.AdamW(
        [{"params": decayed}, {"params": others, "weight_decay": 0.0}],
        lr=params.learning_rate,
        betas=tuple(params.betas),
        weight_decay=params.weight_decay,
        fused=True,
    )
