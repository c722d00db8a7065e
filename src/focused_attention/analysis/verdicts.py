"""The claims of the source, judged by the plan: paper/plan.md says what is compared and why.

Every comparison is stated so that the claimed side is above zero. Rates are shares of 1, not per
cent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from focused_attention.analysis.chance import chance
from focused_attention.analysis.evidence import (
    PLAIN,
    SHARP,
    Evidence,
    NotComparedError,
    UnjudgedError,
    asked,
    longest,
)
from focused_attention.analysis.findings import Answers, Cell, Options
from focused_attention.analysis.heads import drawn_mean, heads
from focused_attention.analysis.instrument import check
from focused_attention.analysis.readers import readers
from focused_attention.metrics.statistics import (
    Difference,
    difference,
    holm,
    seeds_difference,
    to_halve,
)

# the arms that the plan speaks of, beside the plain one
LEARNED, FIXED = "echo-cross-learned", "echo-cross-off"
OPPOSITE, PUBLISHED = "echo-cross-false", "echo-cross-true"  # sharpen_longer

KEPT = 8  # largest weights of each row
MARGIN = 0.02  # of rates and of normalised entropy: an effect that matters
ALPHA = 0.05
SEEDS = 3  # of every arm that is compared, at least


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
        return compared(*sides, evidence.options)

    return compare


def identifying(evidence: Evidence) -> Compared:
    """The same, and what F1 is made of: with more written, it may rise though precision falls."""
    found, most = sharpened("spot")(evidence), max(evidence.params.sweep.prompts)
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
    sizes = evidence.params.entropy.words
    utterances = evidence.params.entropy.utterances
    if PLAIN not in evidence.entropies:
        raise NotComparedError(f"this profile does not measure {PLAIN} here")
    found = heads(evidence.entropies[PLAIN], utterances)
    places = [("cross", "normalised_entropy", 1.0, size(sizes)) for size in (max, min)]
    if not all(place in found for place in places):
        raise NotComparedError(f"this profile does not measure {PLAIN} at temperature 1")
    far, near = (found[place] for place in places)
    mean, error = far.mean - near.mean, np.hypot(far.error, near.error)
    drawn, fixed = (
        drawn_mean(mean, error, evidence.options, seeds=seeds) for seeds in (True, False)
    )
    judged = difference(drawn, fixed, evidence.options.confidence)
    return Compared(judged, utterances, len(mean))


def learnt(evidence: Evidence) -> Compared:
    """Learned temperatures against the best single one, chosen on dev utterances."""
    ours = asked(evidence.swept, LEARNED, longest(evidence, "recall"))
    rates = {
        t: asked(evidence.swept, FIXED, longest(evidence, "recall", t, split="dev")).above.mean()
        for t in sorted(evidence.params.sweep.temperatures, key=lambda t: abs(np.log(t)))
    }
    best = max(rates, key=rates.get)  # the nearest to 1 of equals
    baseline = asked(evidence.swept, FIXED, longest(evidence, "recall", best))
    return compared(ours, baseline, evidence.options)._replace(more={"temperature": best})


def pruned(evidence: Evidence) -> Compared:
    """Few weights kept, at the sharp temperature against temperature 1."""
    prune = evidence.params.prune
    place = Cell("recall", prune.pairs, max(prune.words["cross"]), "cross", 1.0, top_k=KEPT)
    sharp = place._replace(temperature=SHARP)
    sides = (asked(evidence.pruned, PLAIN, p) for p in (sharp, place))
    return compared(*sides, evidence.options)


def opposite(evidence: Evidence) -> Compared:
    """The two directions of `sharpen_longer`, as they were trained."""
    place = longest(evidence, "recall")
    sides = (asked(evidence.swept, arm, place) for arm in (OPPOSITE, PUBLISHED))
    return compared(*sides, evidence.options)


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


def decide(found: Difference, p_holm: float, margin: float = MARGIN) -> tuple[str, str]:
    """The verdict and its reason."""
    above = found.low > 0
    if above and p_holm < ALPHA and found.estimate >= margin:
        return "supported", "The interval lies above zero and the effect reaches the margin."
    if found.high < margin:
        side = "below zero" if found.high < 0 else "below the margin"
        return "refuted", f"The interval ends {side}: an effect that matters is excluded."
    if not above:
        return "undecided", "The interval holds zero and effects that matter."
    if p_holm >= ALPHA:
        return "undecided", "The interval lies above zero, but the adjusted p-value is large."
    return "undecided", "The effect is below the margin, and the interval reaches beyond it."


def judge(evidence: Evidence) -> dict:
    """{resamples, confidence, margin, chance, family, claims, checks} of verdicts.json.

    `of_one_machine` are the claims that wait for plain Echo to recall: which of its seeds do,
    depends on how a processor rounds.

    The family of p-values is always six: a comparison that was not made counts with 1, so that no
    profile is judged more mildly for training less. Where a check failed or arms other than the
    plain one miss the gate, `ungated` is how they compare as they are; it decides nothing.
    """
    found, ungated, obstacles = {}, {}, {}
    checks = check(evidence)
    failed = [name for name, result in checks.items() if result["holds"] is False]
    for name, claim in CLAIMS.items():
        try:
            found[name] = primary(evidence, claim, failed)
        except NotComparedError as error:
            obstacles[name] = f"{str(error)[0].upper()}{str(error)[1:]}."
            if isinstance(error, UnjudgedError) and not evidence.untrained(PLAIN):
                one, n, seeds, more = claim.compare(evidence)
                ungated[name] = {"effect": one.estimate, "low": one.low, "high": one.high}
                ungated[name] |= {"n": n, "seeds": seeds, "missing": to_halve(one, n, seeds)} | more
    p = {name: found[name].found.p if name in found else 1.0 for name in CLAIMS}
    adjusted = holm(p)
    claims = {"C0": readers(evidence)}
    for name, claim in CLAIMS.items():
        stated = {"claim": claim.claim, "test": claim.test, "arms": list(claim.arms)}
        stated |= {"verdict": "undecided", "effect": None, "low": None, "high": None}
        stated |= {"p": None, "p_holm": None, "margin": MARGIN, "n": None, "seeds": None}
        stated |= {"unit": claim.unit, "reason": obstacles.get(name), "missing": None}
        stated |= {"ungated": ungated.get(name)}
        if name in found:
            one, n, seeds, more = found[name]
            verdict, reason = decide(one, adjusted[name])
            stated |= {"verdict": verdict, "reason": reason, "effect": one.estimate}
            stated |= {"low": one.low, "high": one.high, "p": one.p, "p_holm": adjusted[name]}
            stated |= {"n": n, "seeds": seeds}
            if verdict == "undecided":
                stated["missing"] = to_halve(one, n, seeds)
            stated |= more
        claims[name] = stated
    return evidence.options._asdict() | {
        "margin": MARGIN,
        "chance": chance(evidence.params.sweep.pairs),
        "of_one_machine": [name for name, claim in CLAIMS.items() if PLAIN in claim.gate],
        "family": {name: {"p": p[name], "p_holm": adjusted[name]} for name in CLAIMS},
        "claims": claims,
        "checks": checks,
    }


def primary(evidence: Evidence, claim: Claim, failed: list[str]) -> Compared:
    """The comparison that decides a claim.

    Raises NotComparedError for a missing arm and too few seeds, and UnjudgedError for failed
    checks and arms that cannot recall.
    """
    needed = dict.fromkeys((*claim.arms, *claim.gate))
    if missing := [arm for arm in needed if arm not in evidence.swept]:
        raise NotComparedError(f"this profile does not train {' and '.join(missing)}")
    if (seeds := len(evidence.params.runs.seek.seeds)) < SEEDS:
        raise NotComparedError(f"the plan asks for {SEEDS} seeds, this profile has {seeds}")
    if failed:
        raise UnjudgedError(f"a check of the instrument failed: {', '.join(failed)}")
    if untrained := evidence.untrained(*claim.gate):
        raise UnjudgedError(
            f"fewer than nine in ten dev values are recalled by {' and '.join(untrained)}"
        )
    return claim.compare(evidence)
