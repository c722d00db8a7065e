"""How claims are judged, as paper/plan.md has it: margin, level, gate and checks."""

from focused_attention.verdicts.first.chance import chance, guessers
from focused_attention.verdicts.first.claims import CLAIMS, Claim, Compared
from focused_attention.verdicts.first.evidence import Evidence, NotComparedError, UnjudgedError
from focused_attention.verdicts.first.instrument import check
from focused_attention.verdicts.readers import PLAIN, readers
from focused_attention.verdicts.statistics import Difference, holm, to_halve

MARGIN = 0.02  # of rates and of normalised entropy: an effect that matters
ALPHA = 0.05
SEEDS = 3  # of every arm that is compared, at least


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

    `of_one_machine` are the claims on models that seek: what a seed learns of that depends on how a
    processor rounds.

    The family of p-values is always six: a comparison that was not made counts with 1, so that no
    profile is judged more mildly for training less. Where a check failed or arms other than the
    plain one miss the gate, `ungated` is how they compare as they are; it decides nothing.
    """
    found, ungated, obstacles, sweep = {}, {}, {}, evidence.study.sweep
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
    c0 = readers(
        wer=evidence.wer, pairs=evidence.pairs, arms=evidence.arms, timings=evidence.timings
    )
    claims = {"C0": c0}
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
    return evidence.study.options._asdict() | {
        "margin": MARGIN,
        "chance": chance(sweep.pairs, sweep.digits, guessers(evidence.asked)),
        "of_one_machine": list(CLAIMS),  # but not C0: the error rates of readers move little
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
    if (seeds := len(evidence.study.seeds)) < SEEDS:
        raise NotComparedError(f"the plan asks for {SEEDS} seeds, this profile has {seeds}")
    if failed:
        raise UnjudgedError(f"a check of the instrument failed: {', '.join(failed)}")
    if untrained := evidence.untrained(*claim.gate):
        raise UnjudgedError(
            f"fewer than nine in ten dev values are recalled by {' and '.join(untrained)}"
        )
    return claim.compare(evidence)
