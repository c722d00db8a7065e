"""How close to uniform a model's attention is, in two numbers: to watch it along training."""

import torch

from focused_attention.metrics.sharpness import normalised_entropy
from focused_attention.models import SpeechModel
from focused_attention.tasks.batches import Batch


@torch.no_grad()
def mean_entropies(model: SpeechModel, batch: Batch) -> dict[str, float]:
    """Mean entropy over log n, in [0, 1], of the encoder's and of cross-attention's rows.

    Over layers, heads and the rows that are not padding; cross-attention only where a token is
    asked for. A slot whose mechanism has no weights to show is left out.
    """
    output = model(batch.features, batch.tokens, batch.frames, need_weights=True)
    visible = output.mask
    if visible is None:
        items, positions = len(batch.utterances), model.encoder.positions(batch.features.shape[-1])
        visible = torch.ones(items, positions, dtype=torch.bool, device=batch.features.device)
    asked = batch.targets != -100
    slots = {
        "encoder_entropy": (output.encoder_weights, visible),
        "cross_entropy": (output.weights, asked),
    }
    means = {}
    for name, (layers, rows) in slots.items():
        seen = visible[:, None, None] & rows[:, None, :, None]  # (B, 1, T, S)
        shown = [weights for weights in layers or [] if weights is not None]
        if shown:
            values = torch.stack([normalised_entropy(weights, seen) for weights in shown])
            means[name] = float(values.nanmean())
    return means
