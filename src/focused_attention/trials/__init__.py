"""What is tried on a published Whisper: rows out.

Every trial is a file that holds a dataclass `Settings` and one subclass of `Trial`. The file's name
is the trial's key in params.yaml and, after the checkpoint's, its file of results: the line
`tiny.en-writing` under `runs.trials` has `trials/writing.py` asked of tiny.en.

A trial is cut into cells, which are written down as soon as they are measured, so that a run that
is ended goes on where it was.
"""

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from focused_attention import corpora
from focused_attention.decoding.rules import WritingRules
from focused_attention.decoding.windows import Listener
from focused_attention.params import Listen, Params
from focused_attention.paths import DATA
from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.speech.stream import Recording
from focused_attention.tasks.joined import Joined, Prompt, prompts, waveform

WINDOW = 30.0  # seconds that OpenAI's Whisper hears at once
CORPUS, LANGUAGE = "asterisk", "en"
SEED = 1  # of what is dealt


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A published Whisper, and the parameters of the run."""

    name: str  # of the checkpoint
    listener: Listener
    params: Params


class Trial(ABC):
    """One trial of one published Whisper."""

    def __init__(self, subject: Subject, settings):
        self.subject, self.settings = subject, settings
        self.setup()

    def setup(self) -> None:  # noqa: B027, some need nothing
        """Read what is heard."""

    @abstractmethod
    def cells(self) -> Iterable[object]:
        """What is measured one by one; told apart by their `repr`."""

    @abstractmethod
    def rows(self, cell) -> list[dict]:
        """The rows of a cell; those of all cells have the same columns."""


class Journal:
    """Cells that have been measured, in a file of one line each, under what they belong to."""

    def __init__(self, path: Path, belonging: dict):
        self.path = path
        self.name = hashlib.sha256(json.dumps(belonging, sort_keys=True).encode()).hexdigest()[:12]
        self.cells: dict[str, list[dict]] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                kept = json.loads(line)
                if kept["of"] == self.name:
                    self.cells[kept["cell"]] = kept["rows"]

    def get(self, cell: object) -> list[dict] | None:
        return self.cells.get(repr(cell))

    def keep(self, cell: object, rows: list[dict]) -> list[dict]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"of": self.name, "cell": repr(cell), "rows": rows}) + "\n")
        return rows


def speech(params: Listen, language: str = LANGUAGE) -> dict[str, Prompt]:
    """The prompts that are joined, by key.

    Raises UserError for a language that was not fetched.
    """
    reader = corpora.load(CORPUS, [language])
    utterances = reader.read(DATA / CORPUS / language, language)
    return prompts(utterances, words=tuple(params.words), longest=params.longest)


def features(pool: dict[str, Prompt], joined: Joined, silence: float) -> Tensor:
    """What Whisper hears of a recording with so much silence after it: (1, n_mels, frames)."""
    heard = Recording.of(waveform(pool, joined, silence))
    frames = round((joined.seconds + silence) * SAMPLE_RATE) // 160
    return heard.window(0, frames)[None]


def given(
    listener: Listener, text: str, language: str = LANGUAGE, task: str = "transcribe"
) -> tuple[list[int], list[int]]:
    """What stands before the text, and the text with its end, in tokens."""
    tokenizer = listener.tokenizer
    spoken = (language, task) if tokenizer.multilingual else (None,)
    prefix = [*tokenizer.prefix(*spoken), tokenizer.no_timestamps]
    return prefix, [*tokenizer.encode(f" {text}"), tokenizer.eot]


def without_times(listener: Listener) -> WritingRules:
    """What may be written where no times are asked for."""
    rules = copy.copy(listener.writing)
    rules.timestamps = False
    return rules
