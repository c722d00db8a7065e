"""What a text costs when cross-attention may read the first positions of an encoding alone.

In condition `keys` of stage listen more silence means more keys, and an encoder that heard more of
what it was trained with. Here every recording is encoded once, with silence to 30 seconds as in
training; then positions are hidden. So the number of keys changes and nothing else.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.decoding.forced import token_losses
from focused_attention.errors import UserError
from focused_attention.inference.temperature import temperature
from focused_attention.paths import PARAMS
from focused_attention.speech.audio import HOP, SAMPLE_RATE
from focused_attention.tasks.joined import Joined, deal
from focused_attention.trials import SEED, WINDOW, Trial, features, given, speech

FRAMES = SAMPLE_RATE // HOP  # a second


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is read of what."""

    length: float  # seconds of a recording
    silences: list[float]  # seconds after it that may be read
    temperatures: list[float]
    recordings: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Recordings of which so much silence may be read."""

    length: float
    silence: float
    temperatures: tuple[float, ...]
    recordings: int


class HiddenKeys(Trial):
    """A row for every temperature, with the columns of stage listen: losses of the recordings."""

    def setup(self) -> None:
        """Raises UserError for silence past the window, and without temperature 1."""
        settings, where = self.settings, f"{PARAMS}: trials.hidden_keys"
        most = WINDOW - settings.length
        if wrong := [s for s in settings.silences if not 0 <= s <= most]:
            raise UserError(
                f"{where}.silences: expected 0 to {most:g} seconds after {settings.length:g}, "
                f"given {wrong[0]:g}"
            )
        if 1 not in settings.temperatures:
            raise UserError(f"{where}.temperatures: expected 1 among them, the untouched model")
        self.pool = speech(self.subject.params.listen)
        self.encoded: dict[str, Tensor] = {}

    def cells(self) -> Iterator[Cell]:
        s = self.settings
        for silence in s.silences:
            yield Cell(s.length, silence, tuple(s.temperatures), s.recordings)

    @torch.inference_mode()
    def rows(self, cell: Cell) -> list[dict]:
        model = self.subject.listener.model
        keys = round((cell.length + cell.silence) * FRAMES) // model.downsampling
        found: dict[float, list[float]] = {value: [] for value in cell.temperatures}
        dealt, tokens = deal(self.pool, cell.length, cell.recordings, SEED), 0
        for joined in dealt:
            prefix, text = given(self.subject.listener, joined.text)
            tokens += len(text)
            audio = self.heard(joined)[:, :keys]  # cross-attention knows no positions: a cut hides
            cache = model.decoder.new_cache()
            model.decoder(torch.tensor([prefix]), audio, cache=cache)
            for value in cell.temperatures:
                with temperature(model, value, "cross") if value != 1 else nullcontext():
                    losses = token_losses(model.decoder, audio, prefix, text, heard=cache)
                found[value].append(losses.mean().item())
        about = {"condition": "hidden", "length": cell.length, "silence": cell.silence}
        about |= {"layer": "all", "technique": "none"}
        prompts = " ".join(",".join(joined.prompts) for joined in dealt)
        return [
            about
            | {"temperature": value, "keys": keys, "tokens": tokens}
            | {"losses": " ".join(f"{loss:.4f}" for loss in losses)}
            | {"prompts": prompts if value == cell.temperatures[0] else ""}  # of all: said once
            for value, losses in found.items()
        ]

    def heard(self, joined: Joined) -> Tensor:
        """The encoding of a recording with silence to 30 seconds, made once: (1, S, D)."""
        if joined.id not in self.encoded:
            mel = features(self.pool, joined, WINDOW - joined.seconds)
            self.encoded[joined.id] = self.subject.listener.model.encoder(mel).audio
        return self.encoded[joined.id]
