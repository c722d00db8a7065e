"""Batched greedy search; shape alphabet as in hypotheses.py."""

from collections.abc import Sequence

import torch
from torch import Tensor

from focused_attention.decoding.hypotheses import Hypothesis, last_logits, start, until
from focused_attention.models.skeleton import TextDecoder


@torch.inference_mode()
def greedy(
    decoder: TextDecoder,
    audio: Tensor,
    mask: Tensor | None,
    prefix: Tensor | Sequence[int],
    *,
    eot: int,
    max_tokens: int,
    suppress: Sequence[int] = (),
) -> list[Hypothesis]:
    """The likeliest token at every step, for each utterance.

    audio (N, S, D) and mask (N, S) are the encoder's; prefix (P,) or (N, P) starts every
    hypothesis; `suppress` are tokens that are never chosen. Stops when all hypotheses have ended.
    """
    tokens = start(prefix, audio)
    cache = decoder.new_cache()
    scores = torch.zeros(len(audio), device=audio.device)
    lengths = torch.zeros_like(scores)
    ended = torch.zeros_like(scores, dtype=torch.bool)
    chosen = []
    for _ in range(max_tokens):
        logits = last_logits(decoder, tokens, audio, mask, cache, suppress)
        best, token = logits.log_softmax(dim=-1).max(dim=-1)  # (N,)
        scores += best.masked_fill(ended, 0.0)
        lengths += ~ended
        token = token.masked_fill(ended, eot)
        ended = ended | (token == eot)
        chosen.append(token)
        if ended.all():
            break
        tokens = token[:, None]
    return [
        Hypothesis(until(row, eot), score)
        for row, score in zip(
            torch.stack(chosen, dim=1).tolist(), (scores / lengths).tolist(), strict=True
        )
    ]
