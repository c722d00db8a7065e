"""Digits that were spotted among prompts: how many, in which places, and what else was written.

Of a recording all its digits may be written and nothing else: then its answer is exact. Precision
is the share of what is written that was said, recall the share of what was said that is written;
`first`, `second` and so on are the shares of recordings whose first, second, ... digit is, which
show where a model stops.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from focused_attention.verdicts.evidence import Options, Rows, numbered
from focused_attention.verdicts.statistics import bootstrap, intervals

PLACES = ("first", "second", "third", "fourth", "fifth")


def counted(row: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Hits (n, digits) and words beside them (n,) of a row of spot/."""
    hits = np.array([list(map(int, one)) for one in row["hits"].split()])
    return hits, np.array(list(map(int, row["extra"])))


def gather(runs: Sequence[Rows]) -> dict[tuple[int, float], tuple[np.ndarray, np.ndarray]]:
    """By prompts and temperature, hits (seeds, n, digits) and words beside them (seeds, n)."""
    read = [{(int(row["hay"]), float(row["temperature"])): row for row in rows} for rows in runs]
    return {
        at: tuple(np.stack(side) for side in zip(*(counted(of[at]) for of in read), strict=True))
        for at in read[0]
    }


def exact(spotted: Mapping, arm: str, hay: int, temperature: float) -> np.ndarray:
    """1 for every recording that is exact, (seeds, n)."""
    hits, extra = numbered(spotted, arm, (hay, temperature))
    return (hits.all(axis=-1) & (extra == 0)).astype(float)


def measured(hits: np.ndarray, extra: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Numerators and denominators (seeds, n) of every measure."""
    right, one = hits.sum(axis=-1), np.ones(extra.shape)
    places = {PLACES[i]: (hits[..., i], one) for i in range(hits.shape[-1])}
    return {
        "exact": (hits.all(axis=-1) & (extra == 0), one),
        "precision": (right, right + extra),
        "recall": (right, hits.shape[-1] * one),
        "written": (right + extra, one),
        **places,
    }


def spotting(arm: str, found: Mapping, options: Options) -> list[dict]:
    """Every measure at every size and temperature, and its paired difference from temperature 1."""
    rows = []
    for hay in sorted({hay for hay, _ in found}):
        base = measured(*found[hay, 1.0])
        draws = bootstrap(*base["exact"][1].shape, options.resamples)
        for value in sorted(t for other, t in found if other == hay):
            for name, (above, below) in measured(*found[hay, value]).items():
                with np.errstate(invalid="ignore"):  # nothing written: no precision
                    drawn = draws.rates(above, below)
                    change = drawn - draws.rates(*base[name])
                ends = [intervals(side, options.confidence) for side in (drawn, change)]
                rows.append(
                    {"arm": arm, "hay": hay, "temperature": value, "measure": name}
                    | {"seeds": draws.seeds, "utterances": draws.n}
                    | {"rate": float(drawn[0]), "low": ends[0][0], "high": ends[0][1]}
                    | {"difference": float(change[0])}
                    | {"difference_low": ends[1][0], "difference_high": ends[1][1]}
                )
    return rows
