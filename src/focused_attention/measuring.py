"""Settings of those measures that verdicts are made of; the others have theirs in their files."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """Recordings of recall: what they hold, and the temperatures at which they are heard."""

    pairs: int
    digits: int  # lone
    keys: int  # lone
    words: list[int]  # to be passed over
    fillers: list[str]  # what stands in their place
    temperatures: list[float]  # of the arms in runs.swept
    others: list[float]  # of the others
    utterances: int  # of every size
    batch_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    digits: int
    prompts: list[int]  # to be passed over
    temperatures: list[float]  # of the arms in runs.swept
    others: list[float]  # of the others
    utterances: int
    batch_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Entropy:
    """Of the recordings of recall, the first."""

    words: list[int]
    fillers: list[str]
    temperatures: list[float]
    encoder_every: int  # one in so many of the encoder's rows is measured
    utterances: int
    batch_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Prune:
    """Of the recordings of recall, the first; what is to be passed over are words."""

    words: dict[str, list[int]]  # of every slot that is pruned
    temperatures: list[float]
    top_k: list[int]
    utterances: int
    batch_seconds: float
