"""Verdicts on Whisper itself: the second part of paper/plan.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from focused_attention.verdicts import times
from focused_attention.verdicts.hearing import Curve, moved, whole
from focused_attention.verdicts.lengths import best, slope
from focused_attention.verdicts.statistics import Difference, holm, interval

ALPHA = 0.05
MODEL = "tiny.en"
SHARP, SOFT = 0.71, 1.41
KEPT = "topk cross 16"
PLANTED = -0.1  # octaves of temperature an octave of keys


class MissingError(Exception):
    """What a comparison needs was not run."""


class Compared(NamedTuple):
    found: Difference
    n: int  # words


@dataclass(frozen=True, kw_only=True)
class Question:
    """A planned comparison, below zero where the source is right (W2: above)."""

    question: str
    test: str
    unit: str
    margin: float
    side: int  # -1: claimed below zero; 1: above
    compare: Callable[[Sequence[Curve]], tuple[np.ndarray, int]] = field(repr=False, default=None)


def one(found: Sequence[Curve], **about) -> Curve:
    """The curve of tiny.en's cross-attention with these properties; the longest if none is said.

    Raises MissingError where there is none.
    """
    asked = {"model": MODEL, "slot": "cross", "layer": "all", "technique": "none"} | about
    chosen = [c for c in found if all(getattr(c, name) == v for name, v in asked.items())]
    if not chosen:
        raise MissingError(f"not run: {', '.join(str(v) for v in asked.values())}")
    return max(chosen, key=lambda c: c.length)


def level(found: Sequence[Curve]) -> tuple[np.ndarray, int]:
    curve = one(found, condition="padded")
    return curve.over(SHARP), len(curve.losses)


def kept(found: Sequence[Curve]) -> tuple[np.ndarray, int]:
    curve = one(found, condition="padded", technique=KEPT)
    return curve.over(SHARP), len(curve.losses)


def moves(name: str) -> Callable[[Sequence[Curve]], tuple[np.ndarray, int]]:
    def compare(found: Sequence[Curve]) -> tuple[np.ndarray, int]:
        curve = one(found, condition="keys")
        of_slot = [c for c in found if (c.model, c.slot) == (MODEL, "cross")]
        return moved(of_slot, "keys", name), len(curve.losses)

    return compare


def layers(found: Sequence[Curve]) -> tuple[np.ndarray, int]:
    """Rise in the layer that is worst at the shorter length less that in the best, at the longer.

    Which they are is not chosen on the recordings that are compared.
    """
    single = [
        c for c in found
        if (c.model, c.slot, c.condition) == (MODEL, "cross", "padded") and c.layer != "all"
    ]  # fmt: skip
    sizes = sorted({c.length for c in single})
    if len(sizes) < 2:
        raise MissingError("not run: single layers at two lengths")
    few, many = ({c.layer: c for c in single if c.length == n} for n in (sizes[0], sizes[-1]))
    rises = {layer: curve.over(SOFT)[0] for layer, curve in few.items()}
    worst, least = max(rises, key=rises.get), min(rises, key=rises.get)
    return many[worst].over(SOFT) - many[least].over(SOFT), len(many[worst].losses)


QUESTIONS = {
    "W1a": Question(
        question="Does sharper cross-attention help over a long context?",
        test=f"padded, longest: loss at {SHARP} less that at 1",
        unit="nats", margin=0.01, side=-1, compare=level,
    ),
    "W1b": Question(
        question="Does the best temperature fall with the number of keys?",
        test="keys: slope of log2 best temperature against log2 keys",
        unit="octaves", margin=0.03, side=-1, compare=moves("best"),
    ),
    "W1c": Question(
        question="Is softness borne worse with more keys?",
        test="keys: slope of log2 tolerated softness against log2 keys",
        unit="octaves", margin=0.03, side=-1, compare=moves("softest"),
    ),
    "W2": Question(
        question="Does sharpness matter in one layer more than in others?",
        test=f"padded, longest, {SOFT} in one layer: rise in the worst layer less in the least",
        unit="nats", margin=0.01, side=1, compare=layers,
    ),
    "W5": Question(
        question="Can weights be left out, and more if attention is sharpened first?",
        test=f"padded, longest, 16 weights kept of each row: loss at {SHARP} less that at 1",
        unit="nats", margin=0.01, side=-1, compare=kept,
    ),
}  # fmt: skip


TRIED = {  # by trials, which make the comparison
    "W4": Question(
        question="Does sharpness change what is written where nobody speaks?",
        test=f"30 s of non-speech: share with a word written, {SHARP} less 1",
        unit="points", margin=5.0, side=-1,
    ),
    "W6": Question(
        question="Does sharper cross-attention help in other languages?",
        test=f"base, five languages, padded, longest: loss at {SHARP} less that at 1",
        unit="nats", margin=0.01, side=-1,
    ),
    "W7": Question(
        question="Does the module itself help, put into Whisper's encoder and adapted?",
        test="encoder, longest, briefly adapted alike: loss, corrected hybrid less plain",
        unit="nats", margin=0.01, side=-1,
    ),
}  # fmt: skip
ELSEWHERE = ("W6",)  # asked of another model, outside the family


def judge(
    found: Sequence[Curve],
    timed: Compared | None,
    confidence: float,
    tried: Mapping[str, tuple[np.ndarray, int]] | None = None,
    more_checks: Mapping[str, dict] | None = None,
) -> dict:
    """{claims, checks} of the questions that these curves, times of words and trials answer.

    The family of p-values is always all that the plan asks of one model; what was not run counts
    with 1. A check that fails stops the claims it guards.
    """
    checked = checks(found) | dict(more_checks or {})
    unsound = {name for check in checked.values() if not check["holds"] for name in check["guards"]}
    compared, missing = dict(tried or {}), {}
    for name, asked in QUESTIONS.items():
        try:
            compared[name] = asked.compare(found)
        except MissingError as error:
            missing[name] = str(error)
    questions = QUESTIONS | TRIED
    p = {name: p_value(compared[name][0]) if name in compared else 1.0 for name in questions}
    family = {"W3": timed.found.p if timed else 1.0} | p
    adjusted = holm({name: value for name, value in family.items() if name not in ELSEWHERE})
    claims = {"W3": times_claim(timed, adjusted["W3"])}
    for name, asked in questions.items():
        stated = {"question": asked.question, "test": asked.test, "unit": asked.unit}
        stated |= {"margin": asked.margin, "side": asked.side}
        if name not in compared:
            claims[name] = stated | {"verdict": "not run"}
            claims[name] |= {"reason": missing[name]} if name in missing else {}
            continue
        drawn, n = compared[name]
        low, high = interval(drawn[1:], confidence)
        held = adjusted.get(name, p[name])
        verdict = decide(float(drawn[0]), low, high, held, asked)
        verdict = "not judged" if name in unsound else verdict
        claims[name] = stated | {
            "verdict": verdict, "effect": float(drawn[0]), "low": low, "high": high,
            "p": p[name], "p_holm": held, "n": n,
        }  # fmt: skip
    return {"claims": dict(sorted(claims.items())), "checks": checked}


def times_claim(timed: Compared | None, p_holm: float) -> dict:
    """W3: whether softer attention tells the times of words otherwise; no side is claimed."""
    stated = {
        "question": "Does softer attention tell the times of words better?",
        "test": "strings of words: median error of starts and ends, qk_scale 0.5 less 1",
        "unit": "ms", "margin": times.MARGIN, "side": 0,
    }  # fmt: skip
    if timed is None:
        return stated | {"verdict": "not run", "reason": "not run: times of words"}
    one, n = timed
    verdict, _ = times.decide(one, p_holm)
    said = {"effect": one.estimate, "low": one.low, "high": one.high, "p": one.p, "n": n}
    return stated | {"verdict": verdict, "p_holm": p_holm} | said


def p_value(drawn: np.ndarray) -> float:
    """Two-sided, from resamples; never 0, since the data count too."""
    beyond = min((drawn[1:] <= 0).sum(), (drawn[1:] >= 0).sum())
    return float(min(1.0, 2 * (beyond + 1) / len(drawn)))


def decide(effect: float, low: float, high: float, p: float, asked: Question) -> str:
    """The verdict of the plan's rule, with `equivalent` for an interval inside both margins."""
    if asked.side < 0:
        effect, low, high = -effect, -high, -low
    if low > 0 and p < ALPHA and effect >= asked.margin:
        return "supported"
    if -asked.margin < low and high < asked.margin:
        return "equivalent"
    return "refuted" if high < asked.margin else "undecided"


def checks(found: Sequence[Curve]) -> dict[str, dict]:
    """The plan's checks that curves can answer, each with the claims that it guards.

    That a temperature of 1 is the untouched model to the bit is a test, not a row.
    """
    said = {"planted": planted(found) | {"guards": ["W1b", "W1c"]}}
    try:
        exchanged, own = one(found, condition="exchanged"), one(found, condition="padded")
    except MissingError:
        return said
    low, high = interval(exchanged.over(SOFT)[1:], 0.99)
    kept = own.over(SOFT)[0]
    holds = not (low > 0 if kept > 0 else high < 0)
    about = {"holds": holds, "own": float(kept), "low": low, "high": high}
    return said | {"exchanged": about | {"guards": ["W1a", "W2"]}}


def planted(found: Sequence[Curve]) -> dict:
    """Whether the fit finds a schedule that is put in, and none where there is none.

    In parabolas, and in the curve of the most keys as it was measured, moved along log2 T: what the
    fit makes of its shape is `of_measured`, and decides nothing.
    """
    curve = max((c for c in whole(found) if c.condition == "keys"), key=lambda c: c.keys)
    keys = sorted({c.keys for c in found if c.condition == "keys"})
    octaves = np.log2(curve.temperatures)
    slopes = {}
    for name, true in (("moving", PLANTED), ("still", 0.0)):
        centres = true * np.log2(np.array(keys) / keys[-1])
        parabolas = (octaves - centres[:, None]) ** 2
        moved_curves = [np.interp(octaves - c, octaves, curve.drawn[0]) for c in centres]
        for kind, curves in (("parabola", parabolas), ("measured", np.stack(moved_curves))):
            slopes[kind, name] = float(slope(keys, best(curve.temperatures, curves)))
    errors = slopes["parabola", "moving"] - PLANTED, slopes["parabola", "still"]
    return {
        "holds": max(map(abs, errors)) < 0.01, "planted": PLANTED,
        "found": slopes["parabola", "moving"], "found_of_none": slopes["parabola", "still"],
        "of_measured": slopes["measured", "moving"],
    }  # fmt: skip
