"""What a model answers about a haystack.

Shape alphabet: B batch, V vocabulary.
"""

from difflib import SequenceMatcher
from typing import NamedTuple

from torch import Tensor

from focused_attention.decoding.transcribe import written
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.counts import MOST
from focused_attention.models import SpeechModel
from focused_attention.runs.hearing import Heard
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.haystack import HaystackComposer

NO_DIGIT = "-"


class Reply(NamedTuple):
    """An answer of `recall`; digits are characters."""

    value: str  # what was right
    written: str  # what the model writes: the likeliest of all tokens; NO_DIGIT if that is none
    forced: str  # the likeliest of the digits that were heard, whether or not it would write one
    nats: float  # what the right one costs among those


class Spotted(NamedTuple):
    """An answer of `spot`."""

    hits: str  # for every digit in the order in which they were said: 1 if it was written
    extra: int  # words written beside them


def logits(
    model: SpeechModel,
    composer: Composer,
    batch: Batch,
    audio: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """Of the first word of each utterance's answer, (B, V)."""
    (place,) = {len(composer.prefix(u)) - 1 for u in batch.utterances}
    return model.decoder(batch.tokens[:, : place + 1], audio, mask).logits[:, place]


def logits_at(heard: Heard, value: float) -> Tensor:
    """The same of what was heard, with the temperature of cross-attention multiplied by `value`.

    Made once, whoever else asks for it.
    """

    def make() -> Tensor:
        audio, mask, *_ = heard.encoded()
        with temperature(heard.model, value, "cross"):
            return logits(heard.model, heard.composer, heard.batch, audio, mask)

    return heard.once(("logits", "cross", value), make)


def replies(haystacks: HaystackComposer, batch: Batch, found: Tensor) -> list[Reply]:
    """The answers that logits (B, V) give."""
    needles, tokenizer = haystacks.needles, haystacks.composer.store.tokenizer
    tokens = [tokenizer.encode(word)[0] for word in needles.values]
    numerals = {token: str(value) for value, token in enumerate(tokens)}
    scores = found[:, tokens].float().cpu()
    answers = []
    for u, row, top in zip(batch.utterances, scores, found.argmax(-1).tolist(), strict=True):
        heard = sorted({int(numerals[token]) for token in u.heard if token in numerals})
        chances = row[heard].log_softmax(-1)
        value = needles.numeral(u.text.split()[0])
        answers.append(
            Reply(
                value=value,
                written=numerals.get(top, NO_DIGIT),
                forced=str(heard[int(chances.argmax())]),
                nats=-float(chances[heard.index(int(value))]),
            )
        )
    return answers


def spotted(
    model: SpeechModel,
    composer: Composer,
    batch: Batch,
    audio: Tensor,
    mask: Tensor | None,
) -> list[Spotted]:
    """Which digits the model writes, in their order, and what else."""
    texts = written(model, composer, batch.utterances, audio, mask, max_tokens=3 * MOST)
    return [
        against(u.text.split(), text.split()[:MOST])
        for u, text in zip(batch.utterances, texts, strict=True)
    ]


def against(wanted: list[str], words: list[str]) -> Spotted:
    """Words that were written against those that were wanted, in order.

    >>> against(["one", "two", "three"], ["two", "nine", "three"])
    Spotted(hits='011', extra=1)
    """
    hits = ["0"] * len(wanted)
    for block in SequenceMatcher(None, wanted, words, autojunk=False).get_matching_blocks():
        hits[block.a : block.a + block.size] = "1" * block.size
    return Spotted("".join(hits), len(words) - hits.count("1"))
