"""What a published Whisper writes, greedily, while attention is heated or cooled: word errors.

Recordings of joined prompts, padded to 30 seconds as OpenAI does; no times are written, nothing is
tried again at another decoding temperature. Kinds of errors are those of one best alignment.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from rapidfuzz.distance import Levenshtein

from focused_attention.corpora.manifest import normalise
from focused_attention.decoding.openai import write
from focused_attention.inference.temperature import temperature
from focused_attention.tasks.joined import deal
from focused_attention.trials import SEED, WINDOW, Trial, features, given, speech, without_times

TOGETHER = 10  # recordings that are written at once: a step reads the embedding once for all


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is written about what."""

    lengths: list[float]  # seconds of a recording
    temperatures: dict[str, list[float]]  # by slot; 1 is the untouched model, in any slot
    recordings: dict[str, int]  # of a cell, by slot


@dataclass(frozen=True, slots=True)
class Cell:
    """Recordings of a length, written in one way."""

    slot: str
    length: float
    temperature: float
    recordings: int


class Writing(Trial):
    """Substitutions, deletions and insertions of each recording, a row for every cell."""

    def setup(self) -> None:
        listener = self.subject.listener
        self.pool = speech(self.subject.params.listen)
        self.rules, self.prefix = without_times(listener), given(listener, "")[0]

    def cells(self) -> Iterator[Cell]:
        for slot, heats in self.settings.temperatures.items():
            for length in self.settings.lengths:
                for value in heats:
                    yield Cell(slot, length, value, self.settings.recordings[slot])

    @torch.inference_mode()
    def rows(self, cell: Cell) -> list[dict]:
        tokenizer, found, prompts = self.subject.listener.tokenizer, [], []
        dealt = deal(self.pool, cell.length, cell.recordings, SEED)
        for start in range(0, len(dealt), TOGETHER):
            some = dealt[start : start + TOGETHER]
            mel = torch.cat([features(self.pool, one, WINDOW - cell.length) for one in some])
            with heated(self.subject.listener.model, cell) as model:
                audio = model.encoder(mel).audio
                told = write(model.decoder, audio, self.prefix, self.rules, sot=tokenizer.sot)
            for joined, written in zip(some, told, strict=True):
                said = normalise(tokenizer.decode(written.tokens))
                found.append(errors(normalise(joined.text), said) | {"tokens": len(written.tokens)})
                prompts.append(",".join(joined.prompts))
        about = {"slot": cell.slot, "length": cell.length, "temperature": cell.temperature}
        each = {name: " ".join(str(of[name]) for of in found) for name in found[0]}
        return [about | {"recordings": len(found)} | each | {"prompts": " ".join(prompts)}]


def heated(model, cell: Cell):
    """The model with the cell's temperature; untouched at 1."""
    if cell.temperature == 1:
        return nullcontext(model)
    return temperature(model, cell.temperature, cell.slot)


def errors(reference: str, hypothesis: str) -> dict[str, int]:
    """Words of the reference, and how the hypothesis departs from them.

    >>> errors("press the pound key", "press a pound key now")
    {'words': 4, 'substitutions': 1, 'deletions': 0, 'insertions': 1}
    """
    words, said = reference.split(), hypothesis.split()
    kinds = [edit.tag for edit in Levenshtein.editops(words, said)]
    return {
        "words": len(words),
        "substitutions": kinds.count("replace"),
        "deletions": kinds.count("delete"),
        "insertions": kinds.count("insert"),
    }
