"""How claims are judged, as paper/plan.md has it: margin, level, equivalence and checks.

Every seed counts, whatever it learned. Beside the verdict stands the effect among the seeds that
learned to recall.
"""

import math

from focused_attention.verdicts.claims import CLAIMS, Claim
from focused_attention.verdicts.effects import Effect, powers
from focused_attention.verdicts.evidence import Evidence, NotComparedError
from focused_attention.verdicts.guessers import guessers
from focused_attention.verdicts.instrument import check
from focused_attention.verdicts.readers import readers
from focused_attention.verdicts.statistics import MARGIN, holm

ALPHA = 0.05
SEEDS = 10  # of every arm that is compared, at least


def decide(found: Effect, p_holm: float, margin: float = MARGIN) -> tuple[str, str]:
    """The verdict and its reason."""
    one = found.found
    if one.low > 0 and p_holm < ALPHA and one.estimate >= margin:
        return "supported", "The interval lies above zero and the effect reaches the margin."
    if -margin < one.low and one.high < margin:
        return "equivalent", "The interval lies within the margin: no effect that matters."
    if one.high < margin:
        side = "below zero" if one.high < 0 else "below the margin"
        return "refuted", f"The interval ends {side}: an effect that matters is excluded."
    if one.low <= 0:
        return "undecided", "The interval holds zero and effects that matter."
    if p_holm >= ALPHA:
        return "undecided", "The interval lies above zero, but the adjusted p-value is large."
    return "undecided", "The effect is below the margin, and the interval reaches beyond it."


def judge(evidence: Evidence) -> dict:
    """{resamples, confidence, margin, guessers, claims, checks} of verdicts.json.

    The family of p-values is always all claims but C0: a comparison that was not made counts with
    1, so that no profile is judged more mildly for training less. A check stops the claims that it
    guards: it waits where its own interval is too wide to tell.
    """
    checks, found, obstacles = check(evidence), {}, {}
    for name, claim in CLAIMS.items():
        try:
            found[name] = claim.compare(evidence)
        except NotComparedError as error:
            obstacles[name] = f"{str(error)[0].upper()}{str(error)[1:]}."
    stopped = {
        guarded: f"Check {name} {state}."
        for name, result in checks.items()
        for guarded in result["guards"]
        if (state := result["state"]) != "holds"
    }
    p = {name: found[name].found.p if name in found else 1.0 for name in CLAIMS}
    adjusted = holm(p)
    read = {name: getattr(evidence, name) for name in ("wer", "pairs", "arms", "timings")}
    claims = {"C0": readers(**read)}
    for name, claim in CLAIMS.items():
        claims[name] = {"claim": claim.claim, "test": claim.test, "arms": list(claim.arms)}
        claims[name] |= {"unit": claim.unit, "margin": MARGIN, "verdict": "not run"}
        if name not in found:
            claims[name] |= {"reason": obstacles[name]}
            continue
        verdict, reason = decide(found[name], adjusted[name])
        base = found[name].base
        if full := base > 1 - 2 * MARGIN:
            reason += f" Little is left to gain: what it is compared with has {100 * base:.1f} %."
        if name in stopped:
            verdict, reason = "not judged", stopped[name]
        elif found[name].seeds < SEEDS:
            verdict = "not judged"
            reason = f"The plan asks for {SEEDS} seeds, this profile has {found[name].seeds}."
        claims[name] |= {"verdict": verdict, "reason": reason, "p_holm": adjusted[name]}
        claims[name] |= known(found[name]) | {
            "ceiling": full,
            "power": powers(found[name], MARGIN),
            "learned": learned(evidence, claim),
        }
    return evidence.options._asdict() | {
        "margin": MARGIN,
        "guessers": guessers(evidence.asked),
        "of_one_machine": one_machines(evidence),
        "claims": claims,
        "checks": checks,
    }


def one_machines(evidence: Evidence) -> list[str]:
    """Claims on weights that another processor would not have trained to the same bytes.

    C0 is not among them: the error rates of readers move little.
    """
    studies = evidence.params.seek, evidence.params.adapt
    return [] if all(of.arithmetic == "canonical" for of in studies) else list(CLAIMS)


def known(found: Effect) -> dict[str, float | int | None]:
    """An effect's numbers; None for one that there is not, which JSON has no word for."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in found.row.items()
    }


def learned(evidence: Evidence, claim: Claim) -> dict | None:
    """The same among the seeds of which every arm compared learned to recall; None if none did."""
    try:
        found = claim.compare(evidence.among_learned(*claim.arms))
    except NotComparedError:
        return None
    return {name: known(found)[name] for name in ("effect", "low", "high", "seeds")}
