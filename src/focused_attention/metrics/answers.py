"""What a model answers about a haystack, as counts that any rate can be made of."""

from collections import Counter

from torch import Tensor

from focused_attention.decoding.transcribe import written
from focused_attention.metrics.counts import MOST, Counts
from focused_attention.models import SpeechModel
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.compose import Composer


def recalled(
    model: SpeechModel, composer: Composer, batch: Batch, audio: Tensor, mask: Tensor | None
) -> list[Counts]:
    """Whether each utterance's value is what the model would write first.

    It is if each token of the value is the likeliest after the prompt and the tokens before it.
    """
    tokenizer = composer.store.tokenizer
    starts = [len(composer.prefix(u)) - 1 for u in batch.utterances]
    ends = [
        start + len(tokenizer.encode(u.text.split()[0]))
        for start, u in zip(starts, batch.utterances, strict=True)
    ]
    tokens, targets = (t[:, : max(ends)] for t in (batch.tokens, batch.targets))
    likeliest = model.decoder(tokens, audio, mask).logits.argmax(dim=-1)
    right = (likeliest == targets).cpu()
    return [
        Counts(1, 1, int(row[start:end].all()))
        for row, start, end in zip(right, starts, ends, strict=True)
    ]


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
