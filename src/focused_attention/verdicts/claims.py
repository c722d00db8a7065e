"""The claims of the source: what is compared for each, as paper/plan.md has it and says why.

Every comparison is stated so that the claimed side is above zero. Rates are shares of 1, not per
cent. Recall is judged by forced choice: which of the digits that were heard the model finds
likeliest, whether or not it would write one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from focused_attention.verdicts.effects import Effect, gain, lengthened
from focused_attention.verdicts.evidence import (
    LONG,
    PLAIN,
    SHARP,
    Evidence,
    numbered,
    replied,
)
from focused_attention.verdicts.replies import Place
from focused_attention.verdicts.spotted import exact

KEPT = 8  # largest weights of each row
SELF = {"sharper": "echo-self-sharper", "softer": "echo-self-softer"}  # with more keys
LEARNED = "echo-cross-given-learned"


@dataclass(frozen=True, kw_only=True)
class Claim:
    claim: str
    test: str
    unit: str
    arms: tuple[str, ...]
    compare: Callable[[Evidence], Effect] = field(repr=False)


def gained(evidence: Evidence, ours: tuple[str, Place], base: tuple[str, Place]) -> Effect:
    """What one side's forced choices have more than the other's."""
    sides = [replied(evidence.recalled, *side).bound for side in (ours, base)]
    return gain(*sides, *evidence.options)


def sharpened(arm: str) -> Callable[[Evidence], Effect]:
    """An arm at the sharp temperature against itself, at the longest."""

    def compare(evidence: Evidence) -> Effect:
        place = evidence.longest
        return gained(evidence, (arm, place._replace(temperature=SHARP)), (arm, place))

    return compare


def trained(ours: str, base: str) -> Callable[[Evidence], Effect]:
    """An arm against another, as they were trained, at the longest."""
    return lambda evidence: gained(evidence, (ours, evidence.longest), (base, evidence.longest))


def learnt(evidence: Evidence) -> Effect:
    """Learned temperatures against the best single one, chosen on dev recordings."""
    place, rates = evidence.longest, {}
    for value in sorted(evidence.params.recall.temperatures, key=lambda t: abs(np.log(t))):
        at = place._replace(temperature=value, split="dev")
        rates[value] = replied(evidence.recalled, LONG, at).bound.mean()
    best = max(rates, key=rates.get)  # the nearest to 1 of equals
    return gained(evidence, (LEARNED, place), (LONG, place._replace(temperature=best)))


def pruned(evidence: Evidence) -> Effect:
    """Few weights kept, at the sharp temperature against temperature 1."""
    place = Place(hay=max(evidence.params.prune.words["cross"]), top_k=KEPT)
    at = [place._replace(temperature=value) for value in (SHARP, 1.0)]
    return gain(*(replied(evidence.pruned, LONG, one).bound for one in at), *evidence.options)


def identifying(evidence: Evidence) -> Effect:
    """All digits and nothing else written, among the most prompts."""
    most = max(evidence.params.spot.prompts)
    sides = [exact(evidence.spotted, LONG, most, value) for value in (SHARP, 1.0)]
    return gain(*sides, *evidence.options)


def collapsing(evidence: Evidence) -> Effect:
    """Entropy over log n of cross-attention at the longest against the shortest.

    The seeds are the same, the recordings others: they are drawn apart.
    """
    sizes = evidence.params.entropy.words
    at = [Place(hay=size(sizes)) for size in (max, min)]
    return lengthened(*(numbered(evidence.uniformity, LONG, one) for one in at), *evidence.options)


CLAIMS = {
    "C1a": Claim(
        claim="Over long ranges, something specific is found better by sharp attention: where they "
        "are longer than in training.",
        test=f"plain Echo, trained short: forced choice at temperature {SHARP} in cross-attention, "
        "less that at 1",
        unit="accuracy", arms=(PLAIN,), compare=sharpened(PLAIN),
    ),
    "C1b": Claim(
        claim="The same, where they are as long as in training.",
        test=f"plain Echo, trained long: forced choice at temperature {SHARP} in cross-attention, "
        "less that at 1",
        unit="accuracy", arms=(LONG,), compare=sharpened(LONG),
    ),
    "C1c": Claim(
        claim="The longer the span, the sharper attention should be.",
        test="self-attention, trained long: forced choice with a temperature that falls with the "
        "span, less that of a constant one",
        unit="accuracy", arms=(SELF["sharper"], LONG), compare=trained(SELF["sharper"], LONG),
    ),
    "C2": Claim(
        claim="Over very long spans attention becomes too uniform (the source: sometimes).",
        test="plain Echo, trained long: mean entropy / log n of cross-attention's heads at the "
        "longest, less that at the shortest",
        unit="entropy / log n", arms=(LONG,), compare=collapsing,
    ),
    "C3": Claim(
        claim="Sharp attention identifies precisely within a broad context.",
        test="plain Echo, trained long, spot, most prompts: recordings of which all digits and "
        f"nothing else are written at temperature {SHARP} in cross-attention, less those at 1",
        unit="recordings", arms=(LONG,), compare=identifying,
    ),
    "C4": Claim(
        claim="Different steps want different, learnable temperatures.",
        test="cross-attention, trained long: forced choice with a level and a slope learned per "
        "head, less that of a constant temperature at its best single one, chosen on dev",
        unit="accuracy", arms=(LEARNED, LONG), compare=learnt,
    ),
    "C5": Claim(
        claim="Sharp attention leaves sparse weights for small devices.",
        test=f"plain Echo, trained long, the {KEPT} largest weights of each cross-attention row "
        f"kept: forced choice at temperature {SHARP}, less that at 1",
        unit="accuracy", arms=(LONG,), compare=pruned,
    ),
    "C6": Claim(
        claim="The opposite, not to sharpen longer spans, may be better.",
        test="self-attention, trained long: forced choice with a temperature that rises with the "
        "span, less that of one that falls",
        unit="accuracy", arms=(SELF["softer"], SELF["sharper"]),
        compare=trained(SELF["softer"], SELF["sharper"]),
    ),
}  # fmt: skip
