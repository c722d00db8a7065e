"""Batched greedy and beam search over a model's decoder, on encoder output that was made once.

Shape alphabet: N utterances, W beam width, P prefix tokens, S encoder positions, D width,
V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.models.skeleton import TextDecoder


@dataclass(frozen=True, slots=True)
class Hypothesis:
    tokens: tuple[int, ...]  # without the prefix and the end-of-text token
    score: float  # mean log-probability of its tokens, end-of-text included


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


@torch.inference_mode()
def beam(
    decoder: TextDecoder,
    audio: Tensor,
    mask: Tensor | None,
    prefix: Tensor | Sequence[int],
    *,
    eot: int,
    max_tokens: int,
    width: int = 5,
    suppress: Sequence[int] = (),
) -> list[Hypothesis]:
    """The best of `width` hypotheses kept at every step, by mean log-probability.

    An ended hypothesis keeps its place and its score, and competes with those still growing. The
    search stops when all hypotheses have ended. Arguments as in `greedy`.
    """
    N = len(audio)
    tokens = start(prefix, audio)
    cache = decoder.new_cache()
    first_row = torch.arange(N, device=audio.device)[:, None] * width  # (N, 1)
    # One live hypothesis at first: the other places hold nothing.
    sums = torch.full((N, width), -torch.inf, device=audio.device)  # log-probabilities
    sums[:, 0] = 0.0
    lengths = torch.zeros_like(sums)
    ended = torch.zeros_like(sums, dtype=torch.bool)
    history = tokens.new_empty(N, width, 0)
    for step in range(max_tokens):
        logits = last_logits(decoder, tokens, audio, mask, cache, suppress)
        if step == 0:  # the prefix ran once per utterance, now every hypothesis is a row
            rows = torch.arange(N, device=audio.device).repeat_interleave(width)
            cache.reorder(rows)
            audio, mask, logits = audio[rows], mask if mask is None else mask[rows], logits[rows]
        log_probs = logits.log_softmax(dim=-1).view(N, width, -1)  # (N, W, V)
        # An ended hypothesis has one continuation, end-of-text for free, and gets no longer.
        log_probs = log_probs.masked_fill(ended[..., None], -torch.inf)
        log_probs[..., eot] = log_probs[..., eot].masked_fill(ended, 0.0)
        candidate_lengths = lengths + ~ended  # (N, W)
        candidates = sums[..., None] + log_probs
        ranked = (candidates / candidate_lengths[..., None]).flatten(1)  # (N, W V)
        best = ranked.topk(width, dim=-1).indices
        parent = best // log_probs.shape[-1]  # (N, W)
        token = best % log_probs.shape[-1]
        sums = candidates.flatten(1).gather(1, best)
        lengths = candidate_lengths.gather(1, parent)
        ended = ended.gather(1, parent) | (token == eot)
        kept = history.gather(1, parent[..., None].expand_as(history))
        history = torch.cat([kept, token[..., None]], dim=-1)
        if ended.all():
            break
        cache.reorder((first_row + parent).flatten(), cross=False)
        tokens = token.view(-1, 1)
    scores, winner = (sums / lengths).max(dim=-1)
    rows = history[torch.arange(N, device=audio.device), winner]
    return [
        Hypothesis(until(row, eot), score)
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


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
