"""The tasks: what is heard, what must be written, and where every word begins and ends.

    digits      |four| gap |two|two| gap |seven|       "four two two seven"    1-5 recorded digits
    words       |monday| gap |please| gap |pound|      "monday please pound"   one-word recordings
    transcribe  |please enter your password|           the prompt as recorded, never composed
    translate   |veuillez entrer ...|                  its English text

`digits` and `words` are composed: real recordings of single words, joined in the log-mel domain on
whole frames, so that the text and the first and last frame of every word are exact. A composition's
split is a hash of its text: no string of words is in two splits. The recordings of single words are
the lexicon of every split; they are never a `transcribe` utterance.
"""

from dataclasses import dataclass

COMPOSED = ("digits", "words")
TASKS = (*COMPOSED, "transcribe", "translate")
DIGITS = frozenset(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an utterance and its exact place: frames [start, end)."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """A plan of an utterance: which recordings, at which speed, with how much silence between."""

    task: str
    id: str
    language: str
    text: str
    tokens: tuple[int, ...]
    recordings: tuple[int, ...]  # indices in the store
    gaps: tuple[int, ...]  # frames of silence before each recording and after the last
    speed: int = 0  # index in the store's speeds
    gain: float = 0.0  # dB
    noise: float | None = None  # dB of signal-to-noise ratio
    noise_offset: int = 0  # where in the noise recording, in frames
    frames: int = 0  # length
    query: tuple[int, ...] = ()  # what the decoder is told after the task
    told: tuple[int, ...] = ()  # places in `tokens` of further questions, which are never asked for
    heard: tuple[int, ...] | None = None  # tokens of all that is said, for CTC; None: `tokens`

    @property
    def prompt(self) -> str:
        """The task as the decoder is told it: a composition is transcribed like a recording."""
        return "transcribe" if self.task in COMPOSED else self.task
