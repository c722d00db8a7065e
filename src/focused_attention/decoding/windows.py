"""A recording of any length, heard as OpenAI's Whisper hears it: in windows of 30 seconds.

https://github.com/openai/whisper `transcribe.py`. The next window starts at the last time that was
written, or after the window where its text is complete; what nobody says is passed over.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from focused_attention.decoding.openai import Written, write
from focused_attention.decoding.rules import WritingRules
from focused_attention.decoding.segments import Segment, complete, cut, share_words
from focused_attention.decoding.word_times import Alignment, align, heads_of
from focused_attention.models import SpeechModel
from focused_attention.models.packed import PackedDecoder
from focused_attention.speech.stream import FRAMES_PER_SECOND, Recording
from focused_attention.speech.whisper_tokens import Rules, WhisperTokenizer

TOO_WILD = 0.5  # text drawn at a higher temperature is no prompt for the next window


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a recording is transcribed; openai-whisper's defaults, but one temperature alone."""

    language: str | None = None  # None: the one that is heard in the first window
    task: str = "transcribe"
    width: int | None = None  # of the beam; None: greedy
    previous_text: bool = True  # what was written is the next window's prompt
    no_speech: float = 0.6  # above, and with a score of at most `least_score`: silence
    least_score: float = -1.0  # mean log-probability
    temperatures: tuple[float, ...] = (0.0,)  # more: written again while text repeats or is poor
    most_repetition: float = 2.4  # bytes of text over its bytes when compressed
    seed: int = 0  # of what is drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """What was heard in one window."""

    start: int  # frame of the recording
    frames: int
    language: str
    written: Written
    temperature: float
    segments: list[Segment]
    alignment: Alignment | None  # of its words, with times from its start; None: silence


class Listener:
    """A model with its tokenizer and rules, ready for recordings."""

    def __init__(
        self, model: SpeechModel, tokenizer: WhisperTokenizer, rules: Rules, *, packed: bool = False
    ):
        """`packed` writes quicker, and sees no change that is made to the model from now on."""
        self.model, self.tokenizer = model, tokenizer
        heads = model.dims.n_text_head
        self.decoder = PackedDecoder(model.decoder, heads) if packed else model.decoder
        self.heads = heads_of(model, rules.alignment_heads)
        self.span = model.dims.n_audio_ctx * model.downsampling  # frames of a window
        self.writing = WritingRules(tokenizer, rules, timestamps=True)

    def check(self, options: Options) -> None:
        """Raise UserError for a language or a task that the model has not."""
        any_language = next(iter(self.tokenizer.languages), None)
        self.tokenizer.prefix(options.language or any_language, options.task)

    @torch.inference_mode()
    def hear(self, recording: Recording, seek: int) -> Tensor:
        """The encoder's output for the window that starts at frame `seek`, (1, S, D)."""
        return self.model.encoder(recording.window(seek, self.span)[None]).audio

    @torch.inference_mode()
    def language(self, audio: Tensor) -> str:
        """The language whose token is likeliest after the start, for one window."""
        if not self.tokenizer.multilingual:
            return "en"
        codes, tokens = zip(*self.tokenizer.languages.items(), strict=True)
        start = torch.tensor([[self.tokenizer.sot]], device=audio.device)
        logits = self.model.decoder(start, audio).logits[0, 0]
        return codes[int(logits[list(tokens)].argmax())]

    def listen(self, recording: Recording, options: Options) -> Iterator[Window]:
        """Window after window of a recording.

        Raises UserError for a language or a task that the model has not.
        """
        self.check(options)
        generator = torch.Generator().manual_seed(options.seed)
        seek, last_speech = 0, 0.0
        earlier: list[int] = []  # what was written
        while seek < recording.frames:
            frames = min(self.span, recording.frames - seek)
            audio = self.hear(recording, seek)
            if options.language is None:
                options = replace(options, language=self.language(audio))
            prompt = self._prompt(earlier) if options.previous_text else []
            written, heat = self._write(audio, prompt, options, generator)
            about = {"start": seek, "frames": frames, "language": options.language}
            about |= {"written": written, "temperature": heat}
            if written.no_speech > options.no_speech and written.score <= options.least_score:
                yield Window(**about, segments=[], alignment=None)
                seek += frames
                continue
            segments, next_seek = cut(written.tokens, self.tokenizer, seek, frames)
            alignment = self._time(segments, audio, about, options, last_speech)
            spoken = [segment.words[-1].end for segment in segments if segment.words]
            last_speech = spoken[-1] if spoken else segments[-1].end
            whole = complete(written.tokens, self.tokenizer.timestamp_begin)
            if not whole and last_speech > seek / FRAMES_PER_SECOND:
                next_seek = round(last_speech * FRAMES_PER_SECOND)
            told = [s for s in segments if s.start != s.end and s.text.strip()]
            yield Window(**about, segments=told, alignment=alignment)
            earlier = [] if heat > TOO_WILD else earlier + [t for s in told for t in s.tokens]
            seek = next_seek

    def _prompt(self, earlier: Sequence[int]) -> list[int]:
        """The end of what was written, marked as such; at most half of what the decoder holds."""
        if not earlier:
            return []
        return [self.tokenizer.sot_prev, *earlier[-(self.model.dims.n_text_ctx // 2 - 1) :]]

    def _write(
        self, audio: Tensor, prompt: list[int], options: Options, generator: torch.Generator
    ) -> tuple[Written, float]:
        """The transcript of one window, and the temperature at which it was good enough."""
        prefix = [*prompt, *self.tokenizer.prefix(options.language, options.task)]
        for heat in options.temperatures:
            (written,) = write(
                self.decoder,
                audio,
                prefix,
                self.writing,
                sot=self.tokenizer.sot,
                width=options.width if heat == 0 else None,
                temperature=heat,
                generator=generator,
            )
            text = self.tokenizer.decode(written.tokens).strip().encode()
            poor = written.score < options.least_score
            silent = poor and written.no_speech > options.no_speech
            repeats = len(text) > options.most_repetition * len(zlib.compress(text))
            if silent or not (poor or repeats):
                break
        return written, heat

    def _time(
        self,
        segments: list[Segment],
        audio: Tensor,
        about: dict,
        options: Options,
        last_speech: float,
    ) -> Alignment:
        """Give the segments of a window their words; where all of them were heard."""
        tokenizer = self.tokenizer
        found = align(
            self.model,
            tokenizer,
            audio,
            tokenizer.prefix(options.language, options.task),
            [token for segment in segments for token in segment.tokens if token < tokenizer.eot],
            self.heads,
            positions=about["frames"] // self.model.downsampling,
            language=options.language,
        )
        offset = about["start"] / FRAMES_PER_SECOND
        share_words(segments, found.words, tokenizer.eot, offset, last_speech)
        return found
