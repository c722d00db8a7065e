"""What a trial of the first edition ran and asked, as far as judging it needs to know.

Its settings stand whole in profiles/first/: a trial that is over is judged the same, whatever
becomes of params.yaml.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from focused_attention.errors import UserError
from focused_attention.paths import FIRST
from focused_attention.schema import build, read
from focused_attention.verdicts.findings import Options

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Sizes of the haystacks that were searched, and the temperatures at which they were."""

    pairs: int
    words: list[int]
    digits: int
    prompts: list[int]
    temperatures: list[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entropy:
    words: list[int]
    utterances: int  # of every size


@dataclass(frozen=True, kw_only=True, slots=True)
class Prune:
    pairs: int
    words: dict[str, list[int]]  # of every slot that was pruned


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    profile: str
    arms: list[str]  # that seek
    seeds: list[int]
    steps: int
    measured: dict[str, list[str]]  # the arms of every measure, by its name
    sweep: Sweep
    entropy: Entropy
    prune: Prune
    options: Options


def committed(profile: str) -> Study:
    """A trial that is over. Raises UserError naming its file, and what is wrong in it."""
    path = FIRST / f"{profile}.yaml"
    return study(read(path), str(path))


def study(settings: Mapping, file: str) -> Study:
    """The study in settings whose sections are those of params.yaml as it was, or still is.

    Raises UserError naming the file and a key that is missing or wrong.
    """
    try:
        seek, listed = settings["runs"]["seek"], settings["runs"]["measure"]
        measure, collect = settings["measure"], settings["collect"]
        return Study(
            profile=settings["profile"],
            arms=seek["arms"],
            seeds=seek["seeds"],
            steps=settings["seek"]["steps"],
            measured={
                name: [arm for arm in seek["arms"] if arm in listed.get(name, seek["arms"])]
                for name in measure
            },
            sweep=judged(Sweep, measure["sweep"], file, "measure.sweep"),
            entropy=judged(Entropy, measure["entropy"], file, "measure.entropy"),
            prune=judged(Prune, measure["prune"], file, "measure.prune"),
            options=Options(collect["resamples"], collect["confidence"]),
        )
    except KeyError as missing:
        raise UserError(f"{file}: missing key {missing}") from None


def judged(kind: type[T], section: Mapping, file: str, where: str) -> T:
    """The part of a section that is judged by; the rest says how rows were made."""
    known = {field.name for field in fields(kind)}
    return build(kind, {key: section[key] for key in section if key in known}, file, where)
