"""OpenAI's greedy, sampled and beam search, on encoder output that was made once.

https://github.com/openai/whisper `decoding.py`, whose tokens these are. Its beam search ends when
as many hypotheses have ended as the beam is wide, and ranks by mean log-probability without the
end of text: another rule than beam.py's. Shape alphabet: N utterances, W beam width, P prefix
tokens, S encoder positions, D width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.decoding.rules import WritingRules
from focused_attention.models.blocks import Cache
from focused_attention.models.packed import PackedCache, PackedDecoder
from focused_attention.models.skeleton import TextDecoder


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What was written about one utterance."""

    tokens: tuple[int, ...]  # text and times, without the prefix and the end of text
    score: float  # mean log-probability, the end of text counted
    no_speech: float  # probability that nothing is said


@torch.inference_mode()
def write(
    decoder: TextDecoder | PackedDecoder,
    audio: Tensor,
    prefix: Sequence[int],
    rules: WritingRules,
    *,
    sot: int,
    width: int | None = None,
    temperature: float = 0.0,
    max_tokens: int | None = None,
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> list[Written]:
    """The transcript of each utterance: greedily, by beam search of `width`, or sampled.

    audio (N, S, D) and mask (N, S) are the encoder's; `prefix` ends with start, language and task,
    and what comes before its token `sot` is earlier text. At most `max_tokens` tokens are written,
    by default half of what the decoder has positions for, as OpenAI's.

    Raises ValueError for a prefix that leaves the decoder no position.
    """
    n_ctx = decoder.positional_embedding.shape[0]
    if len(prefix) >= n_ctx:
        raise ValueError(f"prefix: expected fewer than {n_ctx} tokens, given {len(prefix)}")
    steps = min(max_tokens or n_ctx // 2, n_ctx + 1 - len(prefix))
    cache = decoder.new_cache()
    tokens = torch.tensor([list(prefix)] * len(audio), device=audio.device)
    start, rest = tokens.tensor_split([list(prefix).index(sot) + 1], dim=1)
    logits = decoder(start, audio, mask, cache=cache).logits[:, -1].float()
    silent = logits.softmax(dim=-1)[:, rules.no_speech].tolist()
    if rest.shape[1]:
        logits = decoder(rest, audio, mask, cache=cache).logits[:, -1].float()
    step = _Step(decoder, audio, mask, cache, rules)
    if width is None:
        found = _greedy(step, logits, steps, temperature, generator)
    else:
        found = _beam(step, logits, steps, width)
    return [
        Written(tokens=tuple(tokens), score=total / (len(tokens) + 1), no_speech=chance)
        for (tokens, total), chance in zip(found, silent, strict=True)
    ]


@dataclass(slots=True)
class _Step:
    """Runs the decoder by one token, for every hypothesis."""

    decoder: TextDecoder | PackedDecoder
    audio: Tensor
    mask: Tensor | None
    cache: Cache | PackedCache
    rules: WritingRules

    def __call__(self, tokens: list[int]) -> Tensor:
        """Logits (rows, V) of what follows the last tokens of the hypotheses."""
        last = torch.tensor(tokens, device=self.audio.device)[:, None]
        return self.decoder(last, self.audio, self.mask, cache=self.cache).logits[:, -1].float()

    def widen(self, rows: Tensor) -> None:
        """Every utterance becomes as many hypotheses as it stands in `rows`."""
        self.cache.reorder(rows)
        self.audio = self.audio[rows]
        self.mask = self.mask if self.mask is None else self.mask[rows]


def _greedy(
    step: _Step, logits: Tensor, steps: int, temperature: float, generator: torch.Generator | None
) -> list[tuple[list[int], float]]:
    """The likeliest token at every step, or one drawn at `temperature`; tokens and their sum."""
    eot = step.rules.eot
    written: list[list[int]] = [[] for _ in logits]
    totals = torch.zeros(len(logits), device=logits.device)
    ended = [False] * len(logits)
    for _ in range(steps):
        logits = step.rules.apply(logits, written)
        if temperature:
            chances = (logits / temperature).softmax(dim=-1)
            chosen = torch.multinomial(chances, 1, generator=generator)[:, 0]
        else:
            chosen = logits.argmax(dim=-1)
        taken = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(dim=-1)
        totals += taken.masked_fill(torch.tensor(ended, device=logits.device), 0.0)
        tokens = [eot if done else t for t, done in zip(chosen.tolist(), ended, strict=True)]
        for of, token in zip(written, tokens, strict=True):
            of.append(token)
        ended = [token == eot for token in tokens]
        if all(ended) or len(written[0]) == steps:
            break
        logits = step(tokens)
    return [
        (of[: of.index(eot)] if eot in of else of, total)
        for of, total in zip(written, totals.tolist(), strict=True)
    ]


def _beam(step: _Step, logits: Tensor, steps: int, width: int) -> list[tuple[list[int], float]]:
    """The best of `width` hypotheses of each utterance; tokens and the sum of log-probabilities."""
    N, eot = len(logits), step.rules.eot
    rows = torch.arange(N, device=logits.device).repeat_interleave(width)
    step.widen(rows)
    logits = logits[rows]
    written: list[list[int]] = [[] for _ in rows]
    sums = torch.zeros(len(rows), device=logits.device)
    ended: list[dict[tuple[int, ...], float]] = [{} for _ in range(N)]
    for done in range(1, steps + 1):
        log_probs = step.rules.apply(logits, written).log_softmax(dim=-1)  # (N W, V)
        best = log_probs.topk(width + 1, dim=-1)
        totals, nexts = (sums[:, None] + best.values).tolist(), best.indices.tolist()
        kept: list[tuple[float, int, list[int]]] = []  # its sum, the row it continues, tokens
        for n in range(N):
            growing, finished = _continued(totals, nexts, written, n, width, eot)
            kept += growing
            for tokens, total in finished:
                if len(ended[n]) < width:
                    ended[n][tokens] = total
        written = [tokens for _, _, tokens in kept]
        sums = torch.tensor([total for total, _, _ in kept], device=logits.device)
        if all(len(of) >= width for of in ended) or done == steps:
            break
        parents = torch.tensor([row for _, row, _ in kept], device=logits.device)
        step.cache.reorder(parents, cross=False)
        logits = step([tokens[-1] for tokens in written])
    for n, of in enumerate(ended):  # too few have ended: those still growing, from the best
        growing = range(n * width, (n + 1) * width)
        for row in sorted(growing, key=lambda row: sums[row].item(), reverse=True):
            if len(of) < width:
                of[tuple(written[row])] = sums[row].item()
    best_of = [max(of.items(), key=lambda item: item[1] / max(1, len(item[0]))) for of in ended]
    return [(list(tokens), total) for tokens, total in best_of]


def _continued(
    totals: list[list[float]],
    nexts: list[list[int]],
    written: list[list[int]],
    n: int,
    width: int,
    eot: int,
) -> tuple[list[tuple[float, int, list[int]]], list[tuple[tuple[int, ...], float]]]:
    """The `width` best hypotheses of utterance n that go on, and those that end before them."""
    candidates: dict[tuple[int, ...], tuple[float, int]] = {}
    for row in range(n * width, (n + 1) * width):  # alike at first: the same tokens count once
        for total, token in zip(totals[row], nexts[row], strict=True):
            candidates[(*written[row], token)] = total, row
    growing, finished = [], []
    for tokens, (total, row) in sorted(candidates.items(), key=lambda c: c[1][0], reverse=True):
        if tokens[-1] == eot:
            finished.append((tokens[:-1], total))
        else:
            growing.append((total, row, list(tokens)))
            if len(growing) == width:
                break
    return growing, finished
