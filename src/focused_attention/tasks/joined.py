"""Whole prompts joined to recordings of a length, with the exact boundaries of every prompt.

    dealt     | prompt 12 | gap | prompt 3 | gap | prompt 40 |          silence          |
    seconds   0           1.9   2.3        4.1   4.4         4.9   5 (the length)        ...

A prompt is dealt like a card: none comes again before all have come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from focused_attention.corpora.manifest import Utterance, normalise
from focused_attention.speech.audio import SAMPLE_RATE, decode, trim

GAPS = (0.2, 0.5)  # seconds between prompts
SHORT = 0.8  # seconds: nothing is dealt into what is left


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A recorded prompt without the silence at its ends."""

    key: str
    text: str
    samples: np.ndarray  # 16 kHz, mono, float32

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """A recording of whole prompts."""

    id: str
    seconds: float  # of the recording; silence fills what the prompts leave
    prompts: tuple[str, ...]  # keys
    starts: tuple[int, ...]  # first sample of each
    ends: tuple[int, ...]  # and the one after its last
    text: str


def prompts(
    utterances: Sequence[Utterance], *, words: tuple[int, int], longest: float
) -> dict[str, Prompt]:
    """By key, the recordings of so many words (fewest, most) that last at most `longest` seconds.

    Texts with brackets are left out: they describe sounds.
    """
    found = {}
    for u in utterances:
        if not words[0] <= len(normalise(u.text).split()) <= words[1] or set(u.text) & set("[<("):
            continue
        prompt = Prompt(key=u.key, text=" ".join(u.text.split()), samples=trim(decode(u.path)))
        if prompt.seconds <= longest:
            found[u.key] = prompt
    return found


def deal(
    pool: Mapping[str, Prompt],
    seconds: float,
    count: int,
    seed: int,
    *,
    gaps: tuple[float, float] = GAPS,
) -> list[Joined]:
    """`count` recordings of at most `seconds`, the same for the same pool and seed.

    Between prompts there are `gaps` seconds of silence, shortest and longest.

    Raises ValueError if no prompt is short enough.
    """
    if not any(prompt.seconds <= seconds for prompt in pool.values()):
        raise ValueError(f"prompts: none of {len(pool)} is as short as {seconds} s")
    rng = np.random.default_rng([seed, round(1000 * seconds)])
    names, deck, dealt = sorted(pool), [], []
    while len(dealt) < count:
        hand: list[str] = []
        starts: list[int] = []
        at = 0
        while True:
            left = seconds * SAMPLE_RATE - at
            card = next((n for n in deck if len(pool[n].samples) <= left and n not in hand), None)
            if card is None and left > SHORT * SAMPLE_RATE and len(deck) < len(names):
                deck += [names[i] for i in rng.permutation(len(names))]
                continue
            if card is None:
                break
            deck.remove(card)
            hand.append(card)
            starts.append(at)
            at += len(pool[card].samples) + round(rng.uniform(*gaps) * SAMPLE_RATE)
        dealt.append(
            Joined(
                id=f"{seconds:g}s-{len(dealt):03}",
                seconds=seconds,
                prompts=tuple(hand),
                starts=tuple(starts),
                ends=tuple(s + len(pool[n].samples) for s, n in zip(starts, hand, strict=True)),
                text=" ".join(pool[name].text for name in hand),
            )
        )
    return dealt


def waveform(pool: Mapping[str, Prompt], joined: Joined, silence: float = 0.0) -> np.ndarray:
    """The recording, float32, with so many seconds of silence after it."""
    length = round((joined.seconds + silence) * SAMPLE_RATE)
    out = np.zeros(max(length, joined.ends[-1]), np.float32)
    for name, start, end in zip(joined.prompts, joined.starts, joined.ends, strict=True):
        out[start:end] = pool[name].samples
    return out[:length] if length >= joined.ends[-1] else out
