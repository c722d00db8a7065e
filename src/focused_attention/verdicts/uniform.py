"""Whether cross-attention becomes more uniform with length, by arm and measure.

Planned and judged is one of these, C2: entropy over log n of the long models. The others stand
beside it.
"""

from collections.abc import Iterator

import numpy as np

from focused_attention.verdicts.effects import lengthened
from focused_attention.verdicts.evidence import Evidence, NotComparedError
from focused_attention.verdicts.heads import drawn_mean
from focused_attention.verdicts.replies import Place
from focused_attention.verdicts.statistics import interval, of_seeds

JUDGED = "normalised_entropy"
BESIDE = ("entropy", "effective_support", "participation", "largest")  # nats, keys, keys, a share
COLUMNS = (
    "arm", "metric", "interval", "near", "far", "difference", "low", "high", "seeds", "rising",
)  # fmt: skip


def table(evidence: Evidence) -> list[dict]:
    """The means at the shortest and the longest, and the difference, rows of COLUMNS.

    `interval` says what it is drawn over: `bootstrap` is C2's, over recordings and seeds; in
    `together`, C2's before recordings were kept, all heads err as one; `seeds` is Student's of one
    difference a seed. `rising` counts the seeds that rise.
    """
    rows = []
    for arm in evidence.uniformity:
        for metric, how, near, far, ends in compared(evidence, arm):
            change = far - near
            rows.append(
                {"arm": arm, "metric": metric, "interval": how}
                | {"near": float(near.mean()), "far": float(far.mean())}
                | {"difference": float(change.mean()), "low": ends[0], "high": ends[1]}
                | {"seeds": len(change), "rising": int((change > 0).sum())}
            )
    return rows


def compared(evidence: Evidence, arm: str) -> Iterator[tuple]:
    """Of every measure its name and interval's, both sides (seeds,), and the interval."""
    options, sizes = evidence.options, evidence.params.entropy.words
    sides = [evidence.uniformity[arm].get(Place(hay=hay)) for hay in (min(sizes), max(sizes))]
    if any(side is None for side in sides):
        return
    near, far = sides
    found = lengthened(far, near, *options).found
    yield JUDGED, "bootstrap", near.mean(axis=1), far.mean(axis=1), (found.low, found.high)
    try:
        heads = evidence.heads(arm)
    except NotComparedError:
        return
    for metric in (JUDGED, *BESIDE):
        places = [("cross", metric, 1.0, hay) for hay in (min(sizes), max(sizes))]
        if not all(place in heads for place in places):
            continue
        near, far = (heads[place] for place in places)
        change = far.mean - near.mean
        if metric == JUDGED:
            drawn = drawn_mean(change, np.hypot(far.error, near.error), options)
            how, ends = "together", interval(drawn[1:], options.confidence)
        else:
            how, ends = "seeds", of_seeds(change, options.confidence)
        yield metric, how, near.mean, far.mean, ends
