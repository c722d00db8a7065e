"""params.yaml as frozen dataclasses; a key that is not a field is an error.

`python -m focused_attention.params smoke` writes the overrides of profiles/smoke.yaml into
params.yaml; `git checkout params.yaml` goes back to the pilot.
"""

import argparse
import dataclasses
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from focused_attention.errors import UserError, run
from focused_attention.paths import PARAMS, PROFILES


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
    arms: list[str]
    seeds: list[int]
    steps: int
    batch_seconds: float
    mixture: dict[str, float]
    curriculum: int  # steps
    learning_rate: float
    warmup: int
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
class Haystack:
    """Fewest and most of each in a training utterance, and how reading comes before seeking."""

    reading: int  # batches of strings before anything is to be found
    strings: list[int]  # words of a string
    pairs: list[int]  # recall: of a key and a value
    words: list[int]  # recall: to be passed over
    digits: list[int]  # spot
    prompts: list[int]  # spot: to be passed over


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Sizes of the haystacks that are searched, and the temperatures at which they are."""

    pairs: int
    words: list[int]
    digits: int
    prompts: list[int]
    temperatures: list[float]
    encoder: list[str]  # arms whose encoder is heated too, not only their cross-attention
    utterances: int  # of every size
    batch_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Entropy:
    pairs: int
    words: list[int]
    temperatures: list[float]
    encoder_every: int
    utterances: int
    batch_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Prune:
    arms: list[str]
    pairs: int
    words: dict[str, list[int]]  # of every slot that is pruned
    temperatures: list[float]
    top_k: list[int]
    utterances: int
    batch_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    utterances: dict[str, int]
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    profile: str
    threads: int
    fetch: Fetch
    prepare: Prepare
    tasks: Tasks
    model: Model
    train: Train
    evaluate: Evaluate
    haystack: Haystack
    seek: Train
    sweep: Sweep
    entropy: Entropy
    prune: Prune
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


def load(path: Path = PARAMS) -> Params:
    """Read and check params.yaml. Raises UserError naming the file and the key."""
    params = _build(Params, read(path), str(path), "")
    for name in params.train.arms + params.seek.arms + params.prune.arms + params.sweep.encoder:
        params.arm(name)
    return params


class Loader(yaml.SafeLoader):
    """PyYAML with the booleans of YAML 1.2: `off` is a word, as DVC writes it."""

    yaml_implicit_resolvers: typing.ClassVar = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("(?:true|false)$"), list("tf"))


def read(path: Path) -> dict:
    """A YAML mapping. Raises UserError if the file is missing or not a mapping."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the repository's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping of sections")
    return content


def _build(kind: type, value: object, file: str, where: str):
    """`value` as type `kind`, checked all the way down; `where` is the key path for the message."""
    name = where or "top level"
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise UserError(f"{file}: {name}: expected a mapping, given {value!r}")
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind)}
        if unknown := [key for key in value if key not in fields]:
            raise UserError(
                f"{file}: {name}: unknown key {unknown[0]!r}; known keys: {', '.join(fields)}"
            )
        optional = {n for n, f in fields.items() if f.default_factory is not dataclasses.MISSING}
        optional |= {n for n, f in fields.items() if f.default is not dataclasses.MISSING}
        if missing := [n for n in fields if n not in value and n not in optional]:
            raise UserError(f"{file}: {name}: missing key {missing[0]!r}")
        prefix = f"{where}." if where else ""
        return kind(**{k: _build(hints[k], v, file, prefix + k) for k, v in value.items()})
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(origin, type) and origin is not types.UnionType and isinstance(value, origin):
        if origin is list:
            return [_build(args[0], v, file, f"{where}[{i}]") for i, v in enumerate(value)]
        return {k: _build(args[1], v, file, f"{where}.{k}") for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is None and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    expected = kind.__name__ if origin is None else str(kind)
    raise UserError(f"{file}: {where}: expected {expected}, given {value!r}")


def overlay(base: dict, over: dict) -> dict:
    """`base` with the values of `over` written over it; mappings merge, the rest replaces."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = overlay(base[key], value) if both else value
    return merged


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write a profile's overrides into params.yaml.")
    parser.add_argument("profile", choices=sorted(p.stem for p in PROFILES.glob("*.yaml")))
    profile = parser.parse_args(argv).profile
    merged = overlay(read(PARAMS), read(PROFILES / f"{profile}.yaml"))
    _build(Params, merged, str(PROFILES / f"{profile}.yaml"), "")
    PARAMS.write_text(yaml.safe_dump(merged, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    run(main)
