"""The transcript of a window cut at its times into segments, and words shared out among them.

https://github.com/openai/whisper `transcribe.py` and `timing.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from focused_attention.decoding import word_limits
from focused_attention.decoding.word_times import Word
from focused_attention.speech.stream import FRAMES_PER_SECOND
from focused_attention.speech.whisper_tokens import TIME_STEP, WhisperTokenizer

FRAMES_PER_TIME = round(TIME_STEP * FRAMES_PER_SECOND)


@dataclass(kw_only=True, slots=True)
class Segment:
    """A piece of transcript; times in seconds of the recording."""

    start: float
    end: float
    text: str
    tokens: list[int]  # with its times
    words: list[Word] = field(default_factory=list)


def complete(tokens: Sequence[int], begin: int) -> bool:
    """Whether a transcript ends with a single time: nothing is said after it."""
    return len(tokens) > 1 and tokens[-1] >= begin > tokens[-2]


def cut(
    tokens: Sequence[int], tokenizer: WhisperTokenizer, seek: int, frames: int
) -> tuple[list[Segment], int]:
    """Segments of a window of `frames` frames that starts at frame `seek`, and the next window's.

    A segment ends where two times follow each other. The next window starts at the last of them,
    unless the transcript is complete; text after it is left to the next window.
    """
    begin, offset = tokenizer.timestamp_begin, seek / FRAMES_PER_SECOND
    edges = [i for i, pair in enumerate(pairwise(tokens), start=1) if min(pair) >= begin]
    if not edges:
        times = [token - begin for token in tokens if token >= begin]
        duration = times[-1] * TIME_STEP if times and times[-1] else frames / FRAMES_PER_SECOND
        text = tokenizer.decode(tokens)
        segment = Segment(start=offset, end=offset + duration, text=text, tokens=list(tokens))
        return [segment], seek + frames
    whole = complete(tokens, begin)
    segments = []
    for start, end in pairwise([0, *edges, *([len(tokens)] if whole else [])]):
        piece = list(tokens[start:end])
        segments.append(
            Segment(
                start=offset + (piece[0] - begin) * TIME_STEP,
                end=offset + (piece[-1] - begin) * TIME_STEP,
                text=tokenizer.decode(piece),
                tokens=piece,
            )
        )
    if whole:
        return segments, seek + frames
    return segments, seek + (tokens[edges[-1] - 1] - begin) * FRAMES_PER_TIME


def share_words(
    segments: Sequence[Segment], words: list[Word], eot: int, offset: float, last_speech: float
) -> None:
    """Give every segment its words and the times that they tell, in place.

    `words` are of all segments in their order, with times from the window's start, which is at
    `offset` seconds; `last_speech` is where the segment before the first one ended.
    """
    typical = word_limits.typical(words)
    word_limits.shorten_at_sentences(words, typical)
    waiting = word_limits.join_marks(words)
    for segment in segments:
        due = sum(token < eot for token in segment.tokens)
        while waiting and due > 0:
            word = waiting.pop(0)
            due -= len(word.tokens)
            word.start, word.end = round(offset + word.start, 2), round(offset + word.end, 2)
            segment.words.append(word)
        if segment.words:
            segment.start, segment.end = word_limits.fit_segment(
                segment.words, segment.start, segment.end, last_speech, typical
            )
            last_speech = segment.end
