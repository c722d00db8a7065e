"""The claims of the source: what is compared for each, as paper/plan.md has it and says why.

Every comparison is stated so that the claimed side is above zero. Rates are shares of 1, not per
cent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from focused_attention.verdicts.findings import Answers, Cell, Options
from focused_attention.verdicts.first.evidence import (
    SHARP,
    Evidence,
    NotComparedError,
    asked,
    longest,
)
from focused_attention.verdicts.heads import COLLAPSED, drawn_mean, heads
from focused_attention.verdicts.readers import PLAIN
from focused_attention.verdicts.statistics import Difference, difference, seeds_difference

# the arms that the plan speaks of, beside the plain one
LEARNED, FIXED = "echo-cross-learned", "echo-cross-off"
OPPOSITE, PUBLISHED = "echo-cross-false", "echo-cross-true"  # sharpen_longer

KEPT = 8  # largest weights of each row


class Compared(NamedTuple):
    found: Difference
    n: int  # utterances
    seeds: int
    more: dict = {}  # noqa: RUF012 — what else the verdict states


@dataclass(frozen=True, kw_only=True)
class Claim:
    claim: str
    test: str
    unit: str
    arms: tuple[str, ...]
    gate: tuple[str, ...] = ()  # arms without whose recall nothing is compared
    compare: Callable[[Evidence], Compared] = field(repr=False)


def compared(ours: Answers, baseline: Answers, options: Options) -> Compared:
    found = seeds_difference(ours[:2], baseline[:2], **options._asdict())
    seeds, n = ours.above.shape
    return Compared(found, n, seeds)


def sharpened(task: str) -> Callable[[Evidence], Compared]:
    """The plain arm at the sharp temperature against itself."""

    def compare(evidence: Evidence) -> Compared:
        sides = (asked(evidence.swept, PLAIN, longest(evidence, task, t)) for t in (SHARP, 1.0))
        return compared(*sides, evidence.study.options)

    return compare


def identifying(evidence: Evidence) -> Compared:
    """The same, and what F1 is made of: with more written, it may rise though precision falls."""
    found, most = sharpened("spot")(evidence), max(evidence.study.sweep.prompts)
    parts = {
        row["measure"]: {
            "at_one": row["rate"] - row["difference"], "effect": row["difference"],
            "low": row["difference_low"], "high": row["difference_high"],
        }
        for row in evidence.spotted.get(PLAIN, ())
        if (row["hay"], row["temperature"]) == (most, SHARP)
    }  # fmt: skip
    return found._replace(more={"parts": parts})


def collapsing(evidence: Evidence) -> Compared:
    """Entropy at the longest size against the shortest: other utterances, the same seeds."""
    sizes = evidence.study.entropy.words
    utterances = evidence.study.entropy.utterances
    if PLAIN not in evidence.entropies:
        raise NotComparedError(f"this profile does not measure {PLAIN} here")
    found = heads(evidence.entropies[PLAIN], utterances)
    places = [("cross", "normalised_entropy", 1.0, size(sizes)) for size in (max, min)]
    if not all(place in found for place in places):
        raise NotComparedError(f"this profile does not measure {PLAIN} at temperature 1")
    far, near = (found[place] for place in places)
    mean, error = far.mean - near.mean, np.hypot(far.error, near.error)
    drawn, fixed = (
        drawn_mean(mean, error, evidence.study.options, seeds=seeds) for seeds in (True, False)
    )
    judged = difference(drawn, fixed, evidence.study.options.confidence)
    counts = {name: int((of.each > COLLAPSED).sum()) for name, of in (("far", far), ("near", near))}
    return Compared(judged, utterances, len(mean), {"collapsed": counts | {"heads": far.each.size}})


def learnt(evidence: Evidence) -> Compared:
    """Learned temperatures against the best single one, chosen on dev utterances."""
    ours = asked(evidence.swept, LEARNED, longest(evidence, "recall"))
    rates = {
        t: asked(evidence.swept, FIXED, longest(evidence, "recall", t, split="dev")).above.mean()
        for t in sorted(evidence.study.sweep.temperatures, key=lambda t: abs(np.log(t)))
    }
    best = max(rates, key=rates.get)  # the nearest to 1 of equals
    baseline = asked(evidence.swept, FIXED, longest(evidence, "recall", best))
    return compared(ours, baseline, evidence.study.options)._replace(more={"temperature": best})


def pruned(evidence: Evidence) -> Compared:
    """Few weights kept, at the sharp temperature against temperature 1."""
    prune = evidence.study.prune
    place = Cell("recall", prune.pairs, max(prune.words["cross"]), "cross", 1.0, top_k=KEPT)
    sharp = place._replace(temperature=SHARP)
    sides = (asked(evidence.pruned, PLAIN, p) for p in (sharp, place))
    return compared(*sides, evidence.study.options)


def opposite(evidence: Evidence) -> Compared:
    """The two directions of `sharpen_longer`, as they were trained."""
    place = longest(evidence, "recall")
    sides = (asked(evidence.swept, arm, place) for arm in (OPPOSITE, PUBLISHED))
    return compared(*sides, evidence.study.options)


CLAIMS = {
    "C1": Claim(
        claim="Over long ranges, something specific is found better by sharp attention.",
        test=f"plain Echo, recall, longest size: accuracy at temperature {SHARP} in "
        "cross-attention, less that at 1",
        unit="accuracy",
        arms=(PLAIN,),
        gate=(PLAIN,),
        compare=sharpened("recall"),
    ),
    "C2": Claim(
        claim="Soft attention over long spans collapses to uniform (the source: sometimes).",
        test="plain Echo: mean entropy / log n of cross-attention heads at the longest size, less "
        "that at the shortest",
        unit="entropy / log n",
        arms=(PLAIN,),
        compare=collapsing,
    ),
    "C3": Claim(
        claim="Sharp attention identifies precisely within a broad context.",
        test=f"plain Echo, spot, most prompts: F1 at temperature {SHARP} in cross-attention, less "
        "that at 1",
        unit="F1",
        arms=(PLAIN,),
        gate=(PLAIN,),
        compare=identifying,
    ),
    "C4": Claim(
        claim="Different steps want different, learnable temperatures.",
        test="recall, longest size: accuracy with temperatures learned per head in "
        "cross-attention, less that without at its best single temperature, chosen on dev",
        unit="accuracy",
        arms=(LEARNED, FIXED),
        gate=(PLAIN, LEARNED, FIXED),
        compare=learnt,
    ),
    "C5": Claim(
        claim="Sharp attention leaves sparse weights for small devices.",
        test=f"plain Echo, recall, longest size, the {KEPT} largest weights of each "
        f"cross-attention row kept: accuracy at temperature {SHARP}, less that at 1",
        unit="accuracy",
        arms=(PLAIN,),
        gate=(PLAIN,),
        compare=pruned,
    ),
    "C6": Claim(
        claim="The opposite, not to sharpen longer spans, may be better.",
        test="recall, longest size: accuracy of focused cross-attention with sharpen_longer "
        "false, less true",
        unit="accuracy",
        arms=(OPPOSITE, PUBLISHED),
        gate=(PLAIN, OPPOSITE, PUBLISHED),
        compare=opposite,
    ),
}
