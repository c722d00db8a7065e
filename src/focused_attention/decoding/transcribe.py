"""What a model writes about a batch, each utterance from its own prompt."""

from functools import partial

import torch
from torch import Tensor

from focused_attention.decoding.beam import beam
from focused_attention.decoding.greedy import greedy
from focused_attention.models import SpeechModel
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.utterances import Utterance


@torch.inference_mode()
def transcribe(
    model: SpeechModel, composer: Composer, batch: Batch, width: int = 1, max_tokens: int = 64
) -> list[str]:
    """The texts a model hears in a batch, greedily or, where `width` is above 1, by beam search."""
    audio, mask, *_ = model.encoder(batch.features, batch.frames)
    return written(model, composer, batch.utterances, audio, mask, width, max_tokens)


def written(
    model: SpeechModel,
    composer: Composer,
    utterances: list[Utterance],
    audio: Tensor,  # (B, S, D), the encoder's output
    mask: Tensor | None,  # (B, S)
    width: int = 1,
    max_tokens: int = 64,
) -> list[str]:
    """What the decoder writes about each utterance, from its own prompt."""
    tokenizer = composer.store.tokenizer
    options = {"eot": tokenizer.eot, "max_tokens": max_tokens}
    search = partial(beam, width=width) if width > 1 else greedy
    prefixes = [composer.prefix(u) for u in utterances]
    texts = [""] * len(prefixes)
    for length in dict.fromkeys(map(len, prefixes)):  # prompts that are searched together
        rows = [b for b, prefix in enumerate(prefixes) if len(prefix) == length]
        prompts = torch.tensor([prefixes[b] for b in rows], device=audio.device)
        visible = mask if mask is None else mask[rows]
        found = search(model.decoder, audio[rows], visible, prompts, **options)
        for b, hypothesis in zip(rows, found, strict=True):
            texts[b] = tokenizer.decode(hypothesis.tokens)
    return texts
