"""What a published Whisper writes about natural speech by others: a check of sanity.

Single recordings as they are, padded to 30 seconds, untouched attention, greedy, no times. Words
are compared after Whisper's English normaliser, which writes numbers as digits. What was said stays
with the corpus and its licence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from focused_attention import corpora
from focused_attention.decoding.openai import write
from focused_attention.errors import UserError
from focused_attention.paths import DATA
from focused_attention.speech.audio import SAMPLE_RATE, decode
from focused_attention.speech.stream import FRAMES_PER_SECOND, Recording
from focused_attention.trials import LANGUAGE, WINDOW, Trial, given, without_times
from focused_attention.trials.writing import errors

FRAMES = round(WINDOW * FRAMES_PER_SECOND)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is heard."""

    corpus: str  # in English


class Natural(Trial):
    """A row for every recording: what was written, and its word errors."""

    def setup(self) -> None:
        corpus = self.settings.corpus
        reader, folder = corpora.load(corpus, [LANGUAGE]), DATA / corpus / LANGUAGE
        self.utterances = {u.key: u for u in reader.read(folder, LANGUAGE) if u.text}

    def cells(self) -> Iterator[str]:
        yield from self.utterances

    @torch.inference_mode()
    def rows(self, cell: str) -> list[dict]:
        from whisper_normalizer.english import EnglishTextNormalizer  # on use, as in manifest.py

        said, listener = self.utterances[cell], self.subject.listener
        samples = decode(said.path)
        seconds = len(samples) / SAMPLE_RATE
        if seconds > WINDOW:
            raise UserError(f"{said.path}: {seconds:.1f} s, longer than the {WINDOW:g} s heard")
        padded = np.pad(samples, (0, round(WINDOW * SAMPLE_RATE) - len(samples)))
        audio = listener.model.encoder(Recording.of(padded).window(0, FRAMES)[None]).audio
        prefix, rules = given(listener, "")[0], without_times(listener)
        sot = listener.tokenizer.sot
        (one,) = write(listener.model.decoder, audio, prefix, rules, sot=sot)
        text = " ".join(listener.tokenizer.decode(one.tokens).split())
        normaliser = EnglishTextNormalizer()
        about = {"corpus": said.corpus, "speaker": said.speaker, "key": cell, "seconds": seconds}
        counts = errors(normaliser(said.text), normaliser(text))
        return [about | counts | {"written": text}]
