"""What hides keys of one encoding does to the best and to the tolerated temperature.

Beside condition `keys` of stage listen, in which the encoder hears the silence too: the same
recordings, as many keys, the same temperatures.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from focused_attention.verdicts.dealt import prompts_of
from focused_attention.verdicts.hearing import READ, Curve, curves, estimate, whole
from focused_attention.verdicts.lengths import slope

READINGS = ("best", "softest", "softest_nat")
BOUND = 1e-4  # nats by which all keys may differ from stage listen


def table(
    model: str,
    rows: list[dict[str, str]],
    heard: Sequence[Curve] = (),
    *,
    resamples: int,
    confidence: float,
) -> list[dict]:
    """Rows of temperatures read off, by number of keys, and of their slopes (octaves an octave).

    `condition` is hidden, keys (the same recordings in stage listen, if `heard` has their curves)
    or difference: the slope of hidden less that of keys.
    """
    hidden = of_rows(model, rows, resamples)
    most = max(curve.keys for curve in hidden)
    few = [curve for curve in hidden if curve.keys < most]  # all keys are the padded condition
    sides = {"hidden": few}
    if theirs := alike(few, heard):
        sides["keys"] = theirs
    found, slopes = [], {}
    about = {"model": model, "recordings": len(hidden[0].losses)}
    for condition, side in sides.items():
        for name in READINGS:
            read = [READ[name](curve.temperatures, curve.drawn) for curve in side]
            for curve, logs in zip(side, read, strict=True):
                row = about | {"condition": condition, "of": name, "keys": curve.keys}
                found.append(row | estimate(2**logs, confidence))
            slopes[condition, name] = slope([c.keys for c in side], np.stack(read, axis=-1))
    if "keys" in sides:
        slopes |= {
            ("difference", name): slopes["hidden", name] - slopes["keys", name] for name in READINGS
        }
    for (condition, name), drawn in slopes.items():
        row = about | {"condition": condition, "of": f"slope of {name}", "keys": ""}
        found.append(row | estimate(drawn, confidence))
    return found


def of_rows(model: str, rows: list[dict[str, str]], resamples: int) -> list[Curve]:
    """The curves of the trial, from the fewest keys to the most."""
    held = [
        {"length": length, "prompts": " ".join(prompts)}
        for length, recordings in prompts_of(rows).items()
        for prompts in recordings
    ]
    return sorted(curves(model, "cross", rows, held, resamples), key=lambda curve: curve.keys)


def alike(ours: Sequence[Curve], heard: Sequence[Curve]) -> list[Curve]:
    """The curves of `keys` with as many keys, cut to our recordings and temperatures.

    None where a number of keys, a recording or a temperature is missing.
    """
    theirs = {
        c.keys: c for c in whole(heard)
        if (c.model, c.slot, c.condition) == (ours[0].model, "cross", "keys")
    }  # fmt: skip
    cut = [like(theirs[c.keys], c) for c in ours if c.keys in theirs]
    return [c for c in cut if c] if len(cut) == len(ours) and all(cut) else []


def like(curve: Curve, ours: Curve) -> Curve | None:
    """A curve cut to the recordings and temperatures of ours, if it has them."""
    n = len(ours.losses)
    if curve.prompts[:n] != ours.prompts or not set(ours.temperatures) <= set(curve.temperatures):
        return None
    chosen = [curve.temperatures.index(value) for value in ours.temperatures]
    return replace(
        curve, temperatures=ours.temperatures, losses=curve.losses[:n, chosen],
        prompts=ours.prompts, resamples=ours.resamples,
    )  # fmt: skip


def check(model: str, rows: list[dict[str, str]], heard: Sequence[Curve]) -> dict[str, object]:
    """Whether all keys cost what the padded condition of stage listen costs: {holds, largest}."""
    return as_heard(of_rows(model, rows, 1)[-1:], heard, ("padded",), BOUND)


def as_heard(
    ours: Sequence[Curve], heard: Sequence[Curve], conditions: Sequence[str], bound: float
) -> dict[str, object]:
    """The largest difference in the loss of a recording to stage listen's, and whether it is within
    `bound`; losses are rounded to it, so a rounding more is let pass."""
    theirs = {
        (c.length, c.silence): c for c in whole(heard)
        if (c.model, c.slot) == (ours[0].model, "cross") and c.condition in conditions
    }  # fmt: skip
    cut = [like(theirs[c.length, c.silence], c) if (c.length, c.silence) in theirs else None
           for c in ours]  # fmt: skip
    if not all(cut):
        return {"holds": False, "largest": None, "bound": bound}
    pairs = zip(ours, cut, strict=True)
    largest = max(float(np.abs(c.losses - other.losses).max()) for c, other in pairs)
    return {"holds": largest <= bound * 1.001, "largest": largest, "bound": bound}
