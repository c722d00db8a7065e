"""What trials left: their tables, and what they say of the plan's questions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from focused_attention.verdicts import (
    hidden_keys,
    languages,
    looking,
    module,
    natural,
    non_speech,
    writing,
)
from focused_attention.verdicts.hearing import Curve

Rows = Sequence[Mapping[str, str]]

ALONE = {"languages": languages, "module": module, "non_speech": non_speech, "writing": writing}
ASKED = {"non_speech": ("W4", "tiny.en"), "languages": ("W6", "base"), "module": ("W7", "tiny.en")}


class Tried(NamedTuple):
    """What one trial of one model left."""

    trial: str
    model: str
    rows: Rows

    @property
    def question(self) -> str | None:
        """The question that it decides, if it does."""
        name, model = ASKED.get(self.trial, (None, None))
        return name if model == self.model else None


def tables(
    of: Tried, curves: Sequence[Curve], *, resamples: int, confidence: float
) -> dict[str, list[dict]]:
    """Its tables by name; none for a trial whose rows are shown as they are."""
    about = of.model, of.rows
    options = {"resamples": resamples, "confidence": confidence}
    match of.trial:
        case "looking":
            return {
                "looking": looking.table(*about, **options),
                "looking-slopes": looking.slopes(*about, **options),
                "looking-heads": looking.heads(*about),
                "matched": looking.matched(*about, curves, **options),
            }
        case "hidden_keys":
            return {"hidden_keys": hidden_keys.table(*about, curves, **options)}
        case "natural":
            return {"natural": natural.table(*about)}
        case name if name in ALONE:
            return {name: ALONE[name].table(*about, **options)}
    return {}


def compared(of: Tried, resamples: int) -> tuple[np.ndarray, int] | None:
    """The primary comparison of the question that it decides: (resamples + 1,), and n."""
    return ALONE[of.trial].primary(of.rows, resamples) if of.question else None


def checks(
    of: Tried, curves: Sequence[Curve], listened: Rows, *, resamples: int, confidence: float
) -> dict[str, dict]:
    """The plan's checks of a trial, by name, each with the questions that it guards.

    `listened` are the rows that stage listen left of tiny.en's cross-attention.
    """
    match of.trial:
        case "looking" | "hidden_keys" as name:
            check = {"looking": looking, "hidden_keys": hidden_keys}[name].check
            return {name: check(of.model, of.rows, curves) | {"guards": []}}
        case "non_speech" if of.question:
            return {"non_speech": non_speech.agrees(of.rows, listened)}
        case "languages" if of.question:
            return {"languages": languages.check(of.rows, resamples)}
        case "module" if of.question:
            found = module.checks(of.rows, resamples, confidence)
            return {f"module_{name}": check for name, check in found.items()}
    return {}
