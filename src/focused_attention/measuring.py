"""Settings of those measures that verdicts are made of; the others have theirs in their files."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Sizes of the haystacks that are searched, and the temperatures at which they are."""

    pairs: int
    words: list[int]
    digits: int
    prompts: list[int]
    temperatures: list[float]
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
    pairs: int
    words: dict[str, list[int]]  # of every slot that is pruned
    temperatures: list[float]
    top_k: list[int]
    utterances: int
    batch_seconds: float
