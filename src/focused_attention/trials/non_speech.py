"""What a published Whisper writes where nobody speaks, and which heads make it.

Clips of thirty seconds are written greedily while attention is heated or cooled, and while heads of
the decoder's self-attention are masked, as Calm-Whisper does (https://arxiv.org/abs/2505.12969: 3
of large-v3's 20 heads make three quarters of what it writes about noise). A masked head puts out
zeros. What all of this costs where somebody speaks is the loss a token of joined prompts.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from focused_attention import corpora
from focused_attention.corpora.manifest import normalise
from focused_attention.decoding.forced import token_losses
from focused_attention.decoding.openai import Written, write
from focused_attention.errors import UserError
from focused_attention.inference import attentions
from focused_attention.inference.temperature import temperature
from focused_attention.models import SpeechModel
from focused_attention.paths import DATA
from focused_attention.speech.audio import decode
from focused_attention.speech.stream import Recording
from focused_attention.tasks.joined import deal
from focused_attention.trials import SEED, WINDOW, Trial, features, given, speech, without_times
from focused_attention.trials._sounds import SAMPLES, clips, halves

CORPUS, LANGUAGE = "music", "zxx"
TOGETHER = 16  # clips that are written at once
EARLY = 16  # tokens after which what has not ended is written without the others
ALIKE = 2.4  # bytes of text over its bytes when compressed: above, OpenAI calls it repetitive
TEXTS, LETTERS = 3, 40  # that are kept of a row
OF_CLIPS = ("sources", "half", "words", "tokens", "no_speech", "scores", "loops")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is heard, and what is done to the model meanwhile."""

    noise: list[float]  # dB of full scale
    tones: list[float]  # dB of full scale, while they sound
    variants: int  # of what is drawn, at every level
    temperatures: dict[str, list[float]]  # by slot; 1 is the untouched model, in any slot
    plain: list[float]  # temperatures of cross-attention at which no times are written
    together: int  # heads that are masked at once; 0: none is ever masked
    length: float  # seconds of a recording of speech
    recordings: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """All clips and recordings, heard in one way."""

    slot: str = "cross"
    temperature: float = 1.0
    heads: tuple[tuple[int, int], ...] = ()  # layer and head that are masked
    chosen: int | None = None  # the half of the clips that chooses the heads
    times: bool = True  # are written

    @property
    def about(self) -> dict:
        return {
            "slot": self.slot,
            "temperature": self.temperature,
            "heads": " ".join(f"{layer}.{head}" for layer, head in self.heads),
            "chosen": "" if self.chosen is None else self.chosen,
            "times": "yes" if self.times else "no",
        }


class NonSpeech(Trial):
    """A row of every cell for every kind of clip, and one for speech."""

    def setup(self) -> None:
        listener, settings = self.subject.listener, self.settings
        drawn = {"noise": settings.noise, "tones": settings.tones, "variants": settings.variants}
        self.clips = clips(pieces(), **drawn, seed=SEED)
        self.half = halves(self.clips)
        self.pool = speech(self.subject.params.listen)
        self.dealt = deal(self.pool, settings.length, settings.recordings, SEED)
        prefix = given(listener, "")[0]  # ends with the token that no times are written
        self.written_by = {
            False: (prefix, without_times(listener)),
            True: (prefix[:-1], listener.writing),
        }
        self.found: dict[Cell, list[dict]] = {}
        self.untouched: tuple[Tensor, list[Tensor]] | None = None

    def cells(self) -> Iterator[Cell]:
        """Temperatures first, then every head alone, then those that each half chooses."""
        for slot, heats in self.settings.temperatures.items():
            for value in heats:
                yield Cell(slot=slot, temperature=value)
        for value in self.settings.plain:
            yield Cell(temperature=value, times=False)
        if self.settings.together:
            yield from self.single()
            for half in (0, 1):
                yield Cell(slot="decoder", chosen=half)

    def single(self) -> Iterator[Cell]:
        """Every head of the decoder's self-attention masked alone."""
        for layer, attention in enumerate(attentions(self.subject.listener.model, "decoder")):
            for head in range(attention.heads):
                yield Cell(slot="decoder", heads=((layer, head),))

    @torch.inference_mode()
    def rows(self, cell: Cell) -> list[dict]:
        if cell not in self.found:
            done = cell if cell.chosen is None else replace(cell, heads=self.best(cell.chosen))
            with changed(self.subject.listener.model, done) as model:
                audio, spoken = self.heard(model, done)
                rows = [*self.silent(model, audio, done), self.told(model, spoken)]
            self.found[cell] = [done.about | row for row in rows]
        return self.found[cell]

    def best(self, half: int) -> tuple[tuple[int, int], ...]:
        """The heads without which the fewest of the half's clips get a word.

        Of heads alike in that, those that cost speech least. After a run that was ended, single
        heads are measured again for this: a trial does not see what was written down.
        """
        order = {}
        for cell in self.single():
            *silent, told = self.rows(cell)
            words, of = (
                np.array(" ".join(row[name] for row in silent).split(), dtype=int)
                for name in ("words", "half")
            )
            loss = np.mean([float(value) for value in told["losses"].split()])
            order[cell.heads[0]] = ((words[of == half] > 0).mean(), loss)
        return tuple(sorted(sorted(order, key=order.get)[: self.settings.together]))

    def heard(self, model: SpeechModel, cell: Cell) -> tuple[Tensor, list[Tensor]]:
        """The encoder's output for the clips, (N, S, D), and for each recording, (1, S, D)."""
        touched = cell.slot == "encoder" and cell.temperature != 1
        if self.untouched is not None and not touched:
            return self.untouched
        audio = torch.cat(
            [
                model.encoder(Recording.of(clip.samples).window(0, SAMPLES // 160)[None]).audio
                for clip in self.clips
            ]
        )
        silence = WINDOW - self.settings.length
        mels = (features(self.pool, joined, silence) for joined in self.dealt)
        found = audio, [model.encoder(mel).audio for mel in mels]
        if not touched:
            self.untouched = found
        return found

    def silent(self, model: SpeechModel, audio: Tensor, cell: Cell) -> list[dict]:
        """A row for every kind of clip: what is written about each."""
        tokenizer, found = self.subject.listener.tokenizer, {}
        prefix, rules = self.written_by[cell.times]
        for clip, said in zip(
            self.clips, transcripts(model, audio, prefix, rules, sot=tokenizer.sot), strict=True
        ):
            about = {"sources": clip.source, "half": self.half[clip.source]}
            text = tokenizer.decode(said.tokens)
            found.setdefault(clip.kind, []).append((about | described(said, text), text))
        return [
            {"kind": kind, "n": len(of_kind)}
            | {name: " ".join(str(of[name]) for of, _ in of_kind) for name in OF_CLIPS}
            | {"texts": commonest(text for _, text in of_kind), "losses": "", "prompts": ""}
            for kind, of_kind in found.items()
        ]

    def told(self, model: SpeechModel, spoken: list[Tensor]) -> dict:
        """The row of speech: the loss a token of each recording."""
        losses = []
        for audio, joined in zip(spoken, self.dealt, strict=True):
            text = given(self.subject.listener, joined.text)
            losses.append(token_losses(model.decoder, audio, *text).mean().item())
        return {"kind": "speech", "n": len(losses)} | dict.fromkeys((*OF_CLIPS, "texts"), "") | {
            "losses": " ".join(f"{loss:.4f}" for loss in losses),
            "prompts": " ".join(",".join(joined.prompts) for joined in self.dealt),
        }  # fmt: skip


def transcripts(model: SpeechModel, audio: Tensor, prefix, rules, *, sot: int) -> list[Written]:
    """Greedy transcripts of audio (N, S, D), as `write` has them.

    That goes on until the last of a batch has ended; so what is long gets batches of its own.
    """
    told: list[Written] = []
    for some in audio.split(TOGETHER):
        told += write(model.decoder, some, prefix, rules, sot=sot, max_tokens=EARLY)
    long = [i for i, said in enumerate(told) if len(said.tokens) == EARLY]
    for start in range(0, len(long), TOGETHER):
        some = long[start : start + TOGETHER]
        again = write(model.decoder, audio[some], prefix, rules, sot=sot)
        for i, said in zip(some, again, strict=True):
            told[i] = said
    return told


def described(written: Written, text: str) -> dict:
    """What is kept of the transcript of a clip.

    >>> said = Written(tokens=(5, 6), score=-0.25, no_speech=0.5)
    >>> described(said, " Thank you.")
    {'words': 2, 'tokens': 2, 'no_speech': '0.5000', 'scores': '-0.2500', 'loops': 0}
    """
    plain = text.strip().encode()
    return {
        "words": len(normalise(text).split()),
        "tokens": len(written.tokens),
        "no_speech": f"{written.no_speech:.4f}",
        "scores": f"{written.score:.4f}",
        "loops": int(len(plain) > ALIKE * len(zlib.compress(plain))),
    }


def commonest(texts: Iterator[str]) -> str:
    """The commonest texts, normalised and cut, each with its count, as JSON."""
    said = Counter(normalise(text)[:LETTERS] for text in texts)
    return json.dumps(said.most_common(TEXTS), ensure_ascii=False)


def changed(model: SpeechModel, cell: Cell):
    """The model with the cell's temperature or without its heads."""
    if cell.heads:
        return masked(model, cell.heads)
    if cell.temperature == 1:
        return nullcontext(model)
    return temperature(model, cell.temperature, cell.slot)


@contextmanager
def masked(model: SpeechModel, heads: tuple[tuple[int, int], ...]) -> Iterator[SpeechModel]:
    """The model whose decoder's self-attention has these heads, (layer, head), put out zeros.

    A head's output is what its columns of the output projection are given.
    """
    hooks = []
    try:
        for layer, head in heads:
            attention = attentions(model, "decoder")[layer]
            kept = torch.ones(attention.heads, attention.dims // attention.heads)
            kept[head] = 0.0
            kept = kept.flatten()  # (D,)
            hooks.append(
                attention.out.register_forward_pre_hook(lambda _, x, kept=kept: (x[0] * kept,))
            )
        yield model
    finally:
        for hook in hooks:
            hook.remove()


def pieces() -> dict[str, np.ndarray]:
    """The music, by piece.

    Raises UserError where it was not fetched.
    """
    folder = DATA / CORPUS / LANGUAGE
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; put `{CORPUS}: [{LANGUAGE}]` under listen.corpora in "
            "params.yaml and run `dvc repro data.dvc`"
        )
    found = corpora.load(CORPUS, [LANGUAGE]).read(folder, LANGUAGE)
    return {piece.key: decode(piece.path) for piece in found}
