"""A short training of a published Whisper on texts that it is given.

Shape alphabet: B recordings, F feature frames, L tokens.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.models import SpeechModel
from focused_attention.params import Train
from focused_attention.training.optimiser import AdamW, learning_rate

WARMUP = 0.1  # share of the steps
IGNORED = -100  # a target that is not asked for

Batch = tuple[Tensor, Tensor, Tensor]  # features (B, n_mels, F), tokens (B, L), targets (B, L)


def schedule(base: Train, steps: int, rate: float) -> Train:
    """The settings of the short training: those of the base, but for its length and rate."""
    warmup = max(1, round(WARMUP * steps))
    return dataclasses.replace(base, steps=steps, warmup=warmup, learning_rate=rate)


def taught(prefix: Sequence[int], texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """What the decoder is given of texts (with their ends), and what it is to say: (B, L) both.

    >>> taught([1, 2], [[5, 6, 0], [7, 0]])[1].tolist()
    [[-100, 5, 6, 0], [-100, 7, 0, -100]]
    """
    longest = max(map(len, texts))
    before, end = [IGNORED] * (len(prefix) - 1), texts[0][-1]
    rows, targets = [], []
    for text in texts:
        fill = longest - len(text)
        rows.append([*prefix, *text[:-1], *[end] * fill])
        targets.append([*before, *text, *[IGNORED] * fill])
    return torch.tensor(rows), torch.tensor(targets)


def loss_of(model: SpeechModel, mel: Tensor, tokens: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy a token of a batch, and what mechanisms add."""
    output = model(mel, tokens)
    loss = F.cross_entropy(output.logits.mT, targets, ignore_index=IGNORED)
    return sum(output.losses.values(), start=loss)


def adapt(
    model: SpeechModel,
    batches: Iterable[Batch],
    params: Train,
    *,
    new: Callable[[], list[Tensor]] = list,
    quicker: float = 1.0,
) -> list[float]:
    """Train all but the embedding, a step for every batch; the loss of each.

    What `new` returns, weights or parts of them, learns so many times quicker.
    """
    model.decoder.token_embedding.requires_grad_(False)
    model.train()
    optimiser, told = AdamW(model, params), []
    for step, batch in enumerate(batches, 1):
        loss = loss_of(model, *batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), params.clip)
        before = [weight.clone() for weight in new()]
        optimiser.step(learning_rate(step, params))
        for weight, old in zip(new(), before, strict=True):
            weight.lerp_(old, 1 - quicker)
        told.append(loss.item())
    model.eval()
    return told
