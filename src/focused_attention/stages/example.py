"""Stage example: one recording, where a head looks, and what the model answers at three heats.

The run is the first arm's with its first seed, the utterance the first of the test split at the
most words of training: chosen by that rule, not by looking. The head is the one of cross-attention
with most mass on the value while the answer is written, at temperature 1.
"""

import argparse

import torch
from torch import Tensor

from focused_attention import results
from focused_attention.errors import run
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.alignment import segment_mass
from focused_attention.models import SpeechModel
from focused_attention.params import load
from focused_attention.paths import RESULTS
from focused_attention.runs import seeking
from focused_attention.runs.hearing import Heard, hear
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.sizes import largest
from focused_attention.tasks.utterances import DIGITS, Utterance

HEATS = (1.0, 0.71, 2.0)  # the first chooses the head


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    seek = load().runs.seek
    work, haystacks = seeking.begin(__doc__, [seek.arms[0], "--seed", str(seek.seeds[0])])
    params, composer, model = work.params, work.composer, work.trained()
    size, _ = largest(params.haystack)
    (utterance,) = haystacks.evaluation("test", size, 1)
    place = len(composer.prefix(utterance)) - 1  # where the answer is written
    batches, written = [], {}

    def listen(heard: Heard) -> None:
        batches.append(heard.batch)
        audio, mask, *_ = heard.encoded()
        for value in HEATS:
            with temperature(model, value, "cross"):
                written[value] = answer(model, heard.batch, audio, mask, place)

    hear(work, model, [utterance], utterance.frames * composer.frame, [listen])
    (batch,) = batches
    start, end = (edge[:, place, None] / model.downsampling for edge in haystacks.sources(batch))
    masses = {
        value: torch.stack([segment_mass(w, start, end)[0, :, 0] for w in weights])  # (layers, H)
        for value, (_, weights) in written.items()
    }
    layer, head = divmod(int(masses[HEATS[0]].argmax()), masses[HEATS[0]].shape[1])
    answers = [
        {"temperature": value}
        | chances(composer, scores)
        | {"mass": float(masses[value][layer, head])}
        | {"weights": [round(w, 5) for w in weights[layer][0, head, 0].tolist()]}
        for value, (scores, weights) in sorted(written.items())
    ]
    found = work.provenance("test", "example") | {"pairs": size.pairs, "hay": size.words}
    found |= spoken(composer, utterance) | {"layer": layer, "head": head}
    found |= {"seconds_per_position": composer.frame * model.downsampling, "answers": answers}
    results.write_json(RESULTS / params.profile / "example.json", found)


def answer(
    model: SpeechModel, batch: Batch, audio: Tensor, mask: Tensor | None, place: int
) -> tuple[Tensor, list[Tensor]]:
    """The logits (V,) of what follows `place`, and each layer's weights (1, H, 1, S) meanwhile."""
    tokens = batch.tokens[:, : place + 1]
    output = model.decoder(tokens, audio, mask, need_weights=True)
    weights = [w[:, :, place : place + 1].float().cpu() for w in output.weights]
    return output.logits[0, place].float().cpu(), weights


def chances(composer: Composer, scores: Tensor) -> dict:
    """What is written, and how probable every digit is; words have a token each."""
    tokenizer = composer.store.tokenizer
    probabilities = scores.softmax(dim=-1)
    digits = {d: float(probabilities[tokenizer.encode(d)[0]]) for d in sorted(DIGITS)}
    return {"answer": tokenizer.decode([int(scores.argmax())]), "digits": digits}


def spoken(composer: Composer, utterance: Utterance) -> dict:
    """What is said and when, what is asked and what is right."""
    recordings = composer.store.recordings
    words = [
        {"word": word.text, "start": word.start * composer.frame, "end": word.end * composer.frame}
        | {"recording": recordings[i].id}
        for word, i in zip(composer.words(utterance), utterance.recordings, strict=True)
    ]
    return {
        "key": composer.store.tokenizer.decode(utterance.query),
        "value": utterance.text,
        "seconds": utterance.frames * composer.frame,
        "words": words,
    }


if __name__ == "__main__":
    run(main)
