"""How large a haystack is: what it holds, and how much there is to be passed over."""

from dataclasses import dataclass
from typing import ClassVar

from focused_attention.params import Haystack
from focused_attention.tasks.passing import FILLERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """What an utterance of `recall` holds."""

    pairs: int
    digits: int = 0  # lone
    keys: int = 0  # lone
    words: int = 0  # to be passed over
    filler: str = "words"  # what stands in their place: one of FILLERS
    task: ClassVar[str] = "recall"

    @property
    def drawn(self) -> tuple[int, ...]:
        """What decides the draw: the filler does not."""
        return self.pairs, self.digits, self.keys, self.words


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """What an utterance of `spot` holds."""

    digits: int
    prompts: int = 0  # to be passed over
    task: ClassVar[str] = "spot"

    @property
    def drawn(self) -> tuple[int, ...]:
        return self.digits, self.prompts


Size = Recall | Spot


def largest(params: Haystack, filler: str = FILLERS[0]) -> tuple[Recall, Spot]:
    """The largest sizes of training."""
    recall = Recall(
        pairs=params.pairs[1],
        digits=params.lone_digits[1],
        keys=params.lone_keys[1],
        words=params.words[1],
        filler=filler,
    )
    return recall, Spot(digits=params.digits[1], prompts=params.prompts[1])
