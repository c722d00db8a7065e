"""What those would score who do not bind: from what the recordings hold, no model asked."""

from collections.abc import Mapping

import numpy as np

from focused_attention.verdicts.replies import Asked

DIGITS = 10


def guessers(asked: Mapping[tuple[str, str, int], Asked]) -> dict[str, float]:
    """Share right, over all test recordings, of whoever names

    any of the ten digits; any that was heard; any that has a key; the one nearest to the key in
    time, before it or after; the last of the pairs' values; the last of all.
    """
    held = [one for (split, *_), one in asked.items() if split == "test"]

    def mean(shares: list[np.ndarray]) -> float:
        return float(np.concatenate(shares).mean())

    return {
        "any digit": 1 / DIGITS,
        "any heard digit": mean([1 / (one.paired + one.alone) for one in held]),
        "any value of a pair": mean([1 / one.paired for one in held]),
        "nearest digit": mean([one.nearest == one.value for one in held]),
        "value of the last pair": mean([one.last_pair == one.value for one in held]),
        "last heard digit": mean([one.last == one.value for one in held]),
    }
