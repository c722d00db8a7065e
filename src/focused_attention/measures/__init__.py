"""What is measured on a trained arm while it runs: rows out.

Every measure is a file that holds a dataclass `Settings` and one subclass of `Measure`. The file's
name is the measure's key in params.yaml, its results folder and its row in every table. A measure
says which recordings it listens to and what it asks of them; stage `measure` has all measures of an
arm listen to the same recordings at once.
"""

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from focused_attention import measuring
from focused_attention.inference import attentions, refusal
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.answers import Reply, Spotted
from focused_attention.models import SpeechModel
from focused_attention.runs.hearing import Heard, Recordings
from focused_attention.runs.session import Session
from focused_attention.tasks.haystack import HaystackComposer
from focused_attention.tasks.sizes import Recall
from focused_attention.tasks.utterances import Utterance

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A trained arm, and what it is asked about."""

    work: Session
    model: SpeechModel
    haystacks: HaystackComposer

    @property
    def swept(self) -> bool:
        """Whether the arm is heated and cooled in all steps."""
        return self.work.arm["arm"] in self.work.params.runs.swept

    @property
    def encoder_too(self) -> bool:
        """Whether the arm's encoder is heated, too."""
        return self.work.arm["arm"] in self.work.params.runs.encoder


Need = Callable[[Subject], str | None]  # why an arm cannot be measured; None if it can


def recalled(
    asked: measuring.Recall, words: int, filler: str = "words", split: str = "test", **batching
) -> Recordings:
    """Recordings of recall with so many words to be passed over, or what stands in their place.

    `batching` is how many there are, and in which batches, where that is another measure's.
    """
    size = Recall(
        pairs=asked.pairs, digits=asked.digits, keys=asked.keys, words=words, filler=filler
    )
    counts = {"utterances": asked.utterances, "batch_seconds": asked.batch_seconds}
    return Recordings(size=size, split=split, **counts | batching)


def tempered(*slots: str) -> Need:
    """The attention of these slots has a temperature."""
    return lambda subject: refusal(temperature(subject.model, 0.5, *slots))


def weighted(*slots: str) -> Need:
    """Some attention of these slots has rows of weights to show."""

    def need(subject: Subject) -> str | None:
        layers = [layer for slot in slots for layer in attentions(subject.model, slot)]
        if any(layer.weighted for layer in layers):
            return None
        return f"{type(layers[0]).__name__} has no weights to show"

    return need


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """How the rows of a measure stand in tables and figures: which columns are what.

    `by` tells apart what is not averaged. A number is given by rows in one of three ways: a column
    of `digits` or of `numbers` has one for each utterance (a character each, or with spaces between
    them), or `value` is a number that the column `metric` names. `figure` are the values that rows
    of the figure have, by column; the table has all.
    """

    by: tuple[str, ...]
    digits: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    value: str | None = None
    figure: dict[str, tuple] | None = None


class Measure(ABC):
    """One measure of one arm."""

    shown: ClassVar[Shown]
    requires: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, subject: Subject, settings):
        self.subject, self.settings = subject, settings
        self.lacking: dict[str, str] = {}  # what part of the measure does not apply, and why
        self.utterances: dict[Recordings, Sequence[Utterance]] = {}
        self.setup()

    def setup(self) -> None:  # noqa: B027, most have nothing to look at
        """Look at the arm: what of the measure does not apply, goes to `lacking`."""

    @abstractmethod
    def recordings(self) -> Iterable[Recordings]:
        """What the measure listens to."""

    def begin(self, asked: Recordings, utterances: Sequence[Utterance]) -> None:
        """These utterances are about to be heard."""
        self.utterances[asked] = utterances

    @abstractmethod
    def hear(self, asked: Recordings, heard: Heard) -> None:
        """Ask what is asked of a batch of these recordings."""

    @abstractmethod
    def rows(self) -> list[dict]:
        """The rows of the measure's results, all with the same columns."""

    def more(self) -> dict[str, tuple[list[dict], Sequence[str]]]:
        """Further tables and their columns, by the ending of their names."""
        return {}

    def seconds(self, asked: Recordings) -> float:
        """Mean length of the recordings."""
        frames = [u.frames for u in self.utterances[asked]]
        return round(sum(frames) / len(frames) * self.subject.work.composer.frame, 3)


class Answers(Measure):
    """A measure that asks something of every utterance, under one or more conditions."""

    def __init__(self, subject: Subject, settings):
        self.found: dict[Recordings, dict[tuple, dict[int, object]]] = {}
        super().__init__(subject, settings)

    @abstractmethod
    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, Sequence]]:
        """Conditions, as columns of the results, and what each utterance of the batch answers."""

    def hear(self, asked: Recordings, heard: Heard) -> None:
        cells = self.found.setdefault(asked, {})
        for condition, values in self.answers(asked, heard):
            cell = cells.setdefault(tuple(condition.items()), {})
            cell |= {id(u): v for u, v in zip(heard.batch.utterances, values, strict=True)}

    def rows(self) -> list[dict]:
        return [
            self.row(asked, dict(condition), [cell[id(u)] for u in self.utterances[asked]])
            for asked in dict.fromkeys(self.recordings())
            for condition, cell in self.found.get(asked, {}).items()
        ]

    def row(self, asked: Recordings, condition: dict, values: list) -> dict:
        """The answers to all utterances under a condition, `Counts` or numbers."""
        about = asked.about | {"seconds": self.seconds(asked)} | condition
        return about | {"utterances": len(values)} | columns(values)


def columns(values: Sequence) -> dict[str, str | float]:
    """What all utterances answered, as columns: a character each or, of numbers, with spaces.

    Of `recall` whether the answer is `right`, and `bound`, whether it would be if nothing but the
    digits that were heard could be said; what it then costs in nats; and the two digits.
    """
    match values[0]:
        case Reply():
            return {
                "right": "".join(str(int(r.written == r.value)) for r in values),
                "bound": "".join(str(int(r.forced == r.value)) for r in values),
                "written": "".join(r.written for r in values),
                "forced": "".join(r.forced for r in values),
                "nats": " ".join(f"{r.nats:.3g}" for r in values),
            }
        case Spotted():
            return {
                "right": "".join(str(r.hits.count("1")) for r in values),
                "extra": "".join(str(r.extra) for r in values),
                "hits": " ".join(r.hits for r in values),
            }
    return {"mean": fmean(values), "each": " ".join(f"{value:.6g}" for value in values)}


def names() -> dict[str, Path]:
    """Every measure and its file, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("[!_]*.py"))}


def load(name: str) -> tuple[type, type[Measure]]:
    """The dataclass of the settings and the class of measure `name`.

    Raises ValueError for an unknown name.
    """
    if name not in names():
        raise ValueError(f"measure: unknown {name!r}; choose one of {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    (cls,) = (
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Measure) and c.__module__ == module.__name__
    )
    return module.Settings, cls
