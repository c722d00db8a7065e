"""One string of single words, to look at: what is heard, where a head looks, what is written.

The string is the first that is dealt, the head the first of those that OpenAI reads times from; the
text is given, and written a second time without help. Rows are of three kinds: `mel`, a band of the
spectrogram; `word`, with its true start and end; `map`, a token's weights at a temperature.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention import corpora
from focused_attention.decoding.openai import write
from focused_attention.inference.temperature import temperature
from focused_attention.paths import DATA
from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.speech.whisper_tokens import TIME_STEP
from focused_attention.tasks.joined import deal, prompts
from focused_attention.trials import (
    CORPUS,
    LANGUAGE,
    SEED,
    WINDOW,
    Trial,
    features,
    given,
    without_times,
)  # fmt: skip

LONGEST = 2.0  # seconds of a word


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    seconds: float  # of the string
    gap: list[float]  # seconds between words
    temperatures: list[float]  # of cross-attention


class Example(Trial):
    """What one recording sounds like and looks like."""

    def setup(self) -> None:
        reader = corpora.load(CORPUS, [LANGUAGE])
        utterances = reader.read(DATA / CORPUS / LANGUAGE, LANGUAGE)
        found = prompts(utterances, words=(1, 1), longest=LONGEST)
        self.pool = {key: prompt for key, prompt in found.items() if prompt.text.isalpha()}
        gaps = self.settings.gap[0], self.settings.gap[1]
        (self.joined,) = deal(self.pool, self.settings.seconds, 1, SEED, gaps=gaps)
        silence = WINDOW - self.settings.seconds
        self.mel = features(self.pool, self.joined, silence)
        self.positions = round(self.settings.seconds / TIME_STEP)

    def cells(self) -> Iterator[float]:
        yield from self.settings.temperatures

    @torch.inference_mode()
    def rows(self, cell: float) -> list[dict]:
        listener = self.subject.listener
        tokenizer, (layer, head) = listener.tokenizer, listener.heads[0]
        prefix, text = given(listener, self.joined.text)
        whole = torch.tensor([[*prefix, *text]])
        heated = temperature(listener.model, cell, "cross") if cell != 1 else nullcontext()
        audio = listener.model.encoder(self.mel).audio
        with heated:
            output = listener.model.decoder(whole, audio, need_weights=True)
            rules = without_times(listener)
            (written,) = write(listener.model.decoder, audio, prefix, rules, sot=tokenizer.sot)
        weights = output.weights[layer][0, head, len(prefix) - 1 : -1, : self.positions]
        told = tokenizer.decode(written.tokens).strip()
        rows = [] if cell != self.settings.temperatures[0] else [*self.heard(), *self.words()]
        for token, row in zip(text, weights, strict=True):
            label = tokenizer.decode([token]) if token != tokenizer.eot else "end"
            about = line("map", label, values=row) | {"temperature": cell}
            rows.append(about | {"layer": layer, "head": head, "written": told})
        return rows

    def heard(self) -> Iterator[dict]:
        """The log-mel spectrogram, every second frame: a row a band, from the lowest."""
        for band, values in enumerate(self.mel[0, :, : 2 * self.positions : 2]):
            yield line("mel", str(band), values=values)

    def words(self) -> Iterator[dict]:
        """The words with their true boundaries, in seconds."""
        joined = self.joined
        for key, start, end in zip(joined.prompts, joined.starts, joined.ends, strict=True):
            times = {"start": start / SAMPLE_RATE, "end": end / SAMPLE_RATE}
            yield line("word", self.pool[key].text) | {"key": key} | times


def line(kind: str, label: str, *, values: Tensor | None = None) -> dict:
    """A row with all columns, and values to two digits."""
    numbers = "" if values is None else " ".join(f"{value:.2g}" for value in values)
    empty = dict.fromkeys(("key", "temperature", "layer", "head", "start", "end", "written"), "")
    return {"kind": kind, "label": label, **empty, "values": numbers}
