"""Batched beam search; shape alphabet as in hypotheses.py."""

from collections.abc import Sequence

import torch
from torch import Tensor

from focused_attention.decoding.hypotheses import Hypothesis, last_logits, start, until
from focused_attention.models.skeleton import TextDecoder


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
