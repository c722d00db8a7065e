"""Batches: utterances padded to the longest, cut by length so that little is padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from focused_attention.tasks.utterances import Utterance

POOL = 512  # utterances that are sorted by length together


@dataclass(frozen=True, slots=True)
class Batch:
    """Utterances padded to the longest.

    features (B, n_mels, F) normalised log-mel; frames (B,) valid frames; tokens (B, L) prefix, text
    and end of text, padded with it; targets (B, L) the next token at each position, -100 where none
    is asked for; text (B, N) and text_lengths (B,) what is heard, for CTC.
    """

    features: Tensor
    frames: Tensor
    tokens: Tensor
    targets: Tensor
    text: Tensor
    text_lengths: Tensor
    utterances: list[Utterance]

    def to(self, device: torch.device) -> "Batch":
        tensors = (self.features, self.frames, self.tokens, self.targets, self.text)
        moved = (t.to(device, non_blocking=True) for t in (*tensors, self.text_lengths))
        return Batch(*moved, self.utterances)


def bucketed(utterances: Sequence[Utterance], budget: float) -> list[list[Utterance]]:
    """Sort by length and cut into batches of at most `budget` padded frames each."""
    ordered = sorted(utterances, key=lambda u: u.frames, reverse=True)
    batches: list[list[Utterance]] = []
    for u in ordered:
        if batches and (len(batches[-1]) + 1) * batches[-1][0].frames <= budget:
            batches[-1].append(u)
        else:
            batches.append([u])
    return batches


def shuffled(batches: list, rng: np.random.Generator) -> Iterator:
    return (batches[i] for i in rng.permutation(len(batches)))
