"""Recordings and models that were made up, whose answers are known."""

import numpy as np

from focused_attention.verdicts.replies import Asked, Replies

PAIRS, LONE = 3, 3


def recordings(n: int, seed: int = 0) -> Asked:
    """Recordings of six different digits each, the first of which is asked for."""
    rng = np.random.default_rng(seed)
    digits = np.array(["".join(map(str, rng.permutation(10)[: PAIRS + LONE])) for _ in range(n)])
    said = [rng.permutation(list(of)) for of in digits]
    return Asked(
        value=np.array([of[0] for of in digits]),
        others=np.array([of[1:PAIRS] for of in digits]),
        lone=np.array([of[PAIRS:] for of in digits]),
        nearest=np.array([of[0] for of in said]),
        last_pair=np.array([of[rng.integers(PAIRS)] for of in digits]),
        last=np.array([of[-1] for of in said]),
        seconds=60.0,
    )


def replied(held: Asked, forced: np.ndarray, written: np.ndarray | None = None) -> Replies:
    """Answers (seeds, n) of somebody who would write what he is forced to say."""
    written = forced if written is None else written
    bound = forced == held.value
    return Replies(written == held.value, bound, np.where(bound, 0.01, 3.0), written, forced, 60.0)


def heard(held: Asked) -> list[str]:
    return ["".join(parts) for parts in zip(held.value, held.others, held.lone, strict=True)]


def binding(held: Asked, seeds: int = 4) -> np.ndarray:
    """A model that copies the key's value."""
    return np.tile(held.value, (seeds, 1))


def hearing(held: Asked, seeds: int = 4) -> np.ndarray:
    """A model that names any digit that it heard."""
    rng = np.random.default_rng(1)
    return np.array([[rng.choice(list(of)) for of in heard(held)] for _ in range(seeds)])


def shuffled(held: Asked, seeds: int = 4) -> np.ndarray:
    """A model that copies the value of the next recording."""
    return np.tile(np.roll(held.value, -1), (seeds, 1))
