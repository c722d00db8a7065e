"""params.yaml as frozen dataclasses; a key that is not a field is an error.

`python -m focused_attention.params smoke` writes the overrides of profiles/smoke.yaml into
params.yaml, whose comments stay; `git checkout params.yaml` goes back to the pilot.
"""

import argparse
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from focused_attention.errors import UserError, run
from focused_attention.listening import Listen, WordTimes
from focused_attention.measuring import Entropy, Prune, Recall, Spot
from focused_attention.paths import PARAMS, PROFILES
from focused_attention.schema import build, overlay, read, write_over, written_out

T = TypeVar("T")
BASE = "pilot"  # the profile that the others change


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What is trained: every arm with every seed."""

    arms: list[str]
    seeds: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Started(Study):
    """Arms of a study that go on from trained weights: those of one of its own arms."""

    start: str  # what every one of them names as its `start`


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    train: Study
    vary: Started  # of the study `train`
    seek: Study
    adapt: Started  # of the study `seek`
    measure: dict[str, list[str]]  # arms of `seek` that alone a measure is taken of, by its name
    swept: list[str]  # arms whose cross-attention is heated and cooled in all steps
    encoder: list[str]  # arms whose encoder is heated too, not only their cross-attention
    trials: list[str]  # of published checkpoints: tiny.en-writing


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch:
    corpora: dict[str, list[str]]  # languages of each corpus


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    n_mels: int
    hop: int  # samples
    tokenizer: str  # bpe, chars or words
    vocabulary: int
    speeds: list[float]
    dev: float  # share of the utterances
    test: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Tasks:
    language: str
    digits: list[int]  # fewest and most words in an utterance
    words: list[int]
    gap: list[float]  # seconds
    max_seconds: float
    gain: float  # dB
    noise: list[float]  # dB of signal-to-noise ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    width: int
    encoder_layers: int
    decoder_layers: int
    conv_strides: list[int]
    audio_context: int
    text_context: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Train:
    arithmetic: Literal["canonical", "native"]  # of the CPU, see runs/device.py
    steps: int
    batch_seconds: float
    mixture: dict[str, float]
    curriculum: int  # steps
    learning_rate: float
    warmup: int
    decay: float  # share of the steps after it over which the rate falls to zero
    weight_decay: float
    betas: list[float]
    clip: float
    label_smoothing: float
    ctc: float
    log_every: int
    dev_every: int
    dev_utterances: int
    checkpoint_every: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapt(Train):
    """How arms that start from another arm's weights go on, and in how large haystacks."""

    words: list[int]  # in place of `haystack.words`
    prompts: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Haystack:
    """Fewest and most of each in a training utterance, and how reading comes before seeking."""

    reading: int  # batches of strings before anything is to be found
    strings: list[int]  # words of a string
    asked: float  # share of the strings that are asked word by word what follows
    pairs: list[int]  # recall: of a key and a value
    lone_digits: list[int]  # recall: that follow no key
    lone_keys: list[int]  # recall: that no digit follows
    words: list[int]  # recall: to be passed over
    fillers: dict[str, float]  # recall: what stands in their place, and how often
    digits: list[int]  # spot
    prompts: list[int]  # spot: to be passed over


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    utterances: dict[str, int]
    decoders: dict[str, list[Literal["greedy", "beam"]]]  # of arms, by the stage that trains them
    beam: int
    max_tokens: int
    batch_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Collect:
    resamples: int
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A row of the comparison: a model and the mechanism of each of its attention slots."""

    model: str  # whisper or echo
    heads: int
    focus_blocks: int = 0  # Echo's, in front of the encoder's residual blocks
    encoder: dict = field(default_factory=dict)  # {mechanism: name, **settings}; empty: the model's
    decoder: dict = field(default_factory=dict)
    cross: dict = field(default_factory=dict)
    focus: dict = field(default_factory=dict)
    regularisers: dict[str, dict] = field(default_factory=dict)  # settings by name, in their order
    start: str = ""  # the arm from whose trained weights this one goes on; empty: from none
    steps: int = 0  # of an arm with a `start`, in place of its study's
    words: list[int] = field(default_factory=list)  # of one with a `start`, in place of adapt's
    prompts: list[int] = field(default_factory=list)
    checkpoint: str = ""  # a published one, as tiny.en: what `start: openai/tiny.en` is read as


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    profile: str
    findings: str  # the profile whose findings and verdicts are shown
    judged: list[str]  # profiles whose committed runs are judged again
    finished: list[str]  # the same, of the first edition
    listened: list[str]  # profiles whose rows of listening are judged
    threads: int
    runs: Runs
    fetch: Fetch
    prepare: Prepare
    tasks: Tasks
    model: Model
    train: Train
    vary: Train
    evaluate: Evaluate
    haystack: Haystack
    seek: Train
    adapt: Adapt
    measure: dict[str, dict]  # settings of every measure, by its name
    listen: Listen
    word_times: WordTimes
    trials: dict[str, dict]  # settings of every trial, by its name
    collect: Collect
    check: dict[str, float]  # tolerance of every number in a results file
    arms: dict[str, Arm]

    def arm(self, name: str) -> Arm:
        """The settings of arm `name`. Raises UserError for a name without a row."""
        if name not in self.arms:
            raise UserError(
                f"{PARAMS}: unknown arm {name!r}; add a row under `arms:` or choose one of "
                + ", ".join(self.arms)
            )
        return self.arms[name]

    def control(self, stage: str) -> str:
        """The arm of `runs.vary` or `runs.adapt` that is unchanged. Raises UserError if not one."""
        further = getattr(self.runs, stage)
        start = self.arm(further.start)
        plain = [n for n in further.arms if replace(self.arm(n), start="", steps=0) == start]
        if len(plain) != 1:
            raise UserError(
                f"{PARAMS}: runs.{stage}.arms: expected one arm that is {further.start} but for "
                f"its start and steps, as the control, given {', '.join(plain) or 'none'}"
            )
        return plain[0]

    def measured(self, name: str, study: Study | None = None) -> list[str]:
        """The arms of `study` that measure `name` is taken of: all, or those that are listed.

        By default of those that seek from the first.
        """
        arms = (study or self.runs.seek).arms if name in self.measure else []
        return [arm for arm in arms if arm in self.runs.measure.get(name, arms)]

    def settings(self, name: str, kind: type[T]) -> T:
        """The settings of measure `name`. Raises UserError naming a key that is wrong."""
        return build(kind, self.measure.get(name), str(PARAMS), f"measure.{name}")

    @property
    def recall(self) -> Recall:
        return self.settings("recall", Recall)

    @property
    def spot(self) -> Spot:
        return self.settings("spot", Spot)

    @property
    def entropy(self) -> Entropy:
        return self.settings("entropy", Entropy)

    @property
    def prune(self) -> Prune:
        return self.settings("prune", Prune)


def load(path: Path = PARAMS, profile: str | None = None) -> Params:
    """Read and check params.yaml, with a `profile` written over it if one is named.

    Raises UserError naming the file and the key.
    """
    content = read(path)
    if profile and profile != content.get("profile"):
        content = overlay(content, changes(profile, content.get("profile")))
    params = built(content, str(path))
    runs = params.runs
    studies = runs.train, runs.vary, runs.seek, runs.adapt
    listed = chain(*(study.arms for study in studies), *runs.measure.values())
    for name in [*listed, *runs.swept, *runs.encoder]:
        if params.arm(name).checkpoint:
            raise UserError(
                f"{path}: runs: {name} starts from a published checkpoint, which no study does; "
                "list it in trials.module.arms"
            )
    return params


def changes(profile: str, base: str) -> dict:
    """What a profile writes over the parameters of the profile `base`.

    Raises UserError if there is no such profile, or if those are of a third one.
    """
    if base not in (BASE, profile):
        raise UserError(
            f"{PARAMS}: holds profile {base!r}, and {profile!r} says what it changes in {BASE!r}; "
            f"run `git checkout {PARAMS}` first"
        )
    return read(PROFILES / f"{profile}.yaml")


def built(content: dict, file: str) -> Params:
    """The parameters in the content of a file. Raises UserError naming the file and the key."""
    return build(Params, content | {"arms": written_out(content.get("arms"), file)}, file, "")


def main(argv: list[str] | None = None) -> None:
    from ruamel.yaml import YAML  # keeps comments; comes with DVC, and only this needs it

    parser = argparse.ArgumentParser(description="Write a profile's overrides into params.yaml.")
    parser.add_argument("profile", choices=sorted(p.stem for p in PROFILES.glob("*.yaml")))
    profile = parser.parse_args(argv).profile
    content = read(PARAMS)
    over = changes(profile, content.get("profile"))
    built(overlay(content, over), str(PROFILES / f"{profile}.yaml"))
    editor = YAML()
    editor.preserve_quotes, editor.width = True, 4096
    editor.indent(mapping=2, sequence=4, offset=2)
    commented = editor.load(PARAMS)
    write_over(commented, editor.load(PROFILES / f"{profile}.yaml"))
    editor.dump(commented, PARAMS)


if __name__ == "__main__":
    run(main)
