"""What a model answers about a haystack, as counts that any rate can be made of."""

from collections import Counter

from torch import Tensor

from focused_attention.decoding.transcribe import written
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.counts import MOST, Counts
from focused_attention.models import SpeechModel
from focused_attention.runs.hearing import Heard
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.compose import Composer


def asked(composer: Composer, batch: Batch) -> tuple[list[int], list[int]]:
    """The places in each utterance's targets where its value begins and ends."""
    starts = [len(composer.prefix(u)) - 1 for u in batch.utterances]
    ends = [
        start + len(composer.store.tokenizer.encode(u.text.split()[0]))
        for start, u in zip(starts, batch.utterances, strict=True)
    ]
    return starts, ends


def likeliest(
    model: SpeechModel, composer: Composer, batch: Batch, audio: Tensor, mask: Tensor | None
) -> Tensor:
    """The likeliest token at each place up to the end of the longest value, (B, places)."""
    tokens = batch.tokens[:, : max(asked(composer, batch)[1])]
    return model.decoder(tokens, audio, mask).logits.argmax(dim=-1)


def likeliest_at(heard: Heard, value: float, batch: Batch | None = None) -> Tensor:
    """The same of what was heard, with the temperature of cross-attention multiplied by `value`.

    Of another batch that sounds alike, where one is given. Made once, also where only what comes
    after the values differs.
    """
    model, composer, batch = heard.model, heard.composer, batch or heard.batch
    end = max(asked(composer, batch)[1])
    told = tuple((*composer.prefix(u), *u.tokens)[:end] for u in batch.utterances)
    name = ("cross", value, end, told)

    def make() -> Tensor:
        audio, mask, *_ = heard.encoded()
        with temperature(model, value, "cross"):
            return likeliest(model, composer, batch, audio, mask)

    return heard.once(name, make)


def right(composer: Composer, batch: Batch, found: Tensor) -> list[Counts]:
    """Whether each utterance's value is what would be written first, of the likeliest tokens.

    It is if each token of the value is the likeliest after the prompt and the tokens before it.
    """
    same = (found == batch.targets[:, : found.shape[1]]).cpu()
    return [
        Counts(1, 1, int(row[start:end].all()))
        for row, start, end in zip(same, *asked(composer, batch), strict=True)
    ]


def recalled(
    model: SpeechModel, composer: Composer, batch: Batch, audio: Tensor, mask: Tensor | None
) -> list[Counts]:
    """Whether each utterance's value is what the model would write first, see `right`."""
    return right(composer, batch, likeliest(model, composer, batch, audio, mask))


def spotted(
    model: SpeechModel, composer: Composer, batch: Batch, audio: Tensor, mask: Tensor | None
) -> list[Counts]:
    """The words that the model writes, against those it should, whatever their order."""
    texts = written(model, composer, batch.utterances, audio, mask, max_tokens=3 * MOST)
    return [
        Counts(
            len(u.text.split()),
            min(MOST, len(text.split())),
            (Counter(u.text.split()) & Counter(text.split()[:MOST])).total(),
        )
        for u, text in zip(batch.utterances, texts, strict=True)
    ]


ANSWERS = {"recall": recalled, "spot": spotted}
