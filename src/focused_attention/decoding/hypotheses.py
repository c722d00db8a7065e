"""What every search shares: its hypotheses, how they start, what comes next, where they end.

Shape alphabet: N utterances, W beam width, P prefix tokens, S encoder positions, D width,
V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Hypothesis:
    tokens: tuple[int, ...]  # without the prefix and the end-of-text token
    score: float  # mean log-probability of its tokens, end-of-text included


def start(prefix: Tensor | Sequence[int], audio: Tensor) -> Tensor:
    """The prefix of every utterance: (N, P)."""
    return torch.as_tensor(prefix, device=audio.device).expand(len(audio), -1)


def last_logits(decoder, tokens, audio, mask, cache, suppress) -> Tensor:
    """Logits of the next token, (N, V), with the suppressed ones at minus infinity."""
    logits = decoder(tokens, audio, mask, cache=cache).logits[:, -1].float()
    logits[:, list(suppress)] = -torch.inf
    return logits


def until(tokens: list[int], eot: int) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(eot)] if eot in tokens else tokens)
