"""What lies between the needles of a haystack, and in which order everything comes.

Length and distraction are two things. The same stretch may hold other words, whole prompts, or
silence of the same length:

    words     |may|four| |pound| |hello| |june| |two|
    prompts   |may|four| |please hold|   |june| |two|
    silence   |may|four|                 |june| |two|
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from focused_attention.speech.store import FeatureStore

FILLERS = ("words", "silence", "prompts")
BETWEEN = 5  # frames of silence before a prompt that fills a stretch


class Said(NamedTuple):
    """A recording, and whether it is one of the words to be passed over."""

    recording: int
    hay: bool = False


def order(rng: np.random.Generator, pairs: int, digits: int, keys: int, words: int) -> str:
    """An order of pairs (p), lone digits (d), lone keys (k) and words (w), all alike likely.

    But for those in which the needle after a lone key is a lone digit: where silence stands for the
    words, it would be its value.

    >>> order(np.random.default_rng(0), pairs=2, digits=1, keys=1, words=3)
    'wwpkpwd'
    """
    kinds = list("p" * pairs + "d" * digits + "k" * keys + "w" * words)
    while True:
        drawn = "".join(rng.permutation(kinds))
        if "kd" not in drawn.replace("w", ""):
            return drawn


def filled(
    said: Sequence[Said],
    gaps: Sequence[int],  # frames of silence before each recording and after the last
    filler: str,  # one of FILLERS
    store: FeatureStore,
    prompts: Sequence[int],
    rng: np.random.Generator,
) -> tuple[list[int], tuple[int, ...]]:
    """The recordings and the gaps of the same length in which the filler stands for the words.

    In a stretch of prompts, each is drawn from those for which there is still room; what remains is
    silence. Raises ValueError for an unknown filler.
    """
    if filler not in FILLERS:
        raise ValueError(f"filler: unknown {filler!r}; choose one of {', '.join(FILLERS)}")
    if filler == "words":
        return [one.recording for one in said], tuple(gaps)
    frames = [recording.frames[0] for recording in store.recordings]
    chosen: list[int] = []
    before: list[int] = []
    empty, passed = 0, False  # frames since the last recording, and whether there was hay in them
    for one, gap in zip((*said, None), gaps, strict=True):
        empty += gap
        if one is not None and one.hay:
            empty, passed = empty + frames[one.recording], True
            continue
        if passed and filler == "prompts":
            fitting = prompts
            while fitting := [i for i in fitting if frames[i] + 2 * BETWEEN <= empty]:
                chosen.append(int(rng.choice(fitting)))
                before.append(BETWEEN)
                empty -= frames[chosen[-1]] + BETWEEN
        if one is not None:
            chosen.append(one.recording)
        before.append(empty)
        empty, passed = 0, False
    return chosen, tuple(before)
