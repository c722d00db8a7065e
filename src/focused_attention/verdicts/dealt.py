"""Which prompts the recordings of a trial hold, and what is drawn of recordings in resamples."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from focused_attention.errors import UserError
from focused_attention.verdicts.lengths import weights_of

Prompts = tuple[tuple[str, ...], ...]  # of each recording


def prompts_of(rows: Iterable[Mapping[str, str]]) -> dict[float, Prompts]:
    """The prompts of the recordings of each length, from the rows that name the most of them.

    Raises UserError where two rows of a length name others.
    """
    found: dict[float, Prompts] = {}
    for row in rows:
        length = float(row["length"])
        said = tuple(tuple(one.split(",")) for one in row["prompts"].split())
        known = found.get(length, ())
        if any(ours != theirs for ours, theirs in zip(said, known, strict=False)):
            raise UserError(f"prompts: rows of {length:g} s name others; run the trial again")
        if len(said) >= len(known):
            found[length] = said
    return found


@lru_cache(maxsize=16)
def drawn_of(prompts: Prompts, resamples: int, length: float) -> np.ndarray:
    """Weights of recordings of a length as `hearing.Curve` draws them: (resamples + 1, n)."""
    return weights_of(prompts, resamples, round(1000 * length))


def numbers(row: Mapping[str, str], name: str) -> np.ndarray:
    """The numbers of a row's recordings, (n,)."""
    return np.array(row[name].split(), dtype=float)
