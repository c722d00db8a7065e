"""Arms that go on from the trained weights of another arm of their study, with the same seed."""

import dataclasses

from focused_attention import models, regularisers
from focused_attention.errors import UserError
from focused_attention.models import SpeechModel
from focused_attention.paths import PARAMS
from focused_attention.runs.arm import build_model
from focused_attention.runs.session import Session


def adopt(work: Session) -> None:
    """Give the session's model the weights that its arm starts from, before it is prepared.

    Raises UserError if the arm has no start, if that one is not trained, or if its weights do not
    fit.
    """
    name = work.arm["arm"]
    if "start" not in work.arm:
        raise UserError(f"{PARAMS}: arms.{name}: has no start, from which it could go on")
    try:
        models.adopt(work.model, source(work))
    except ValueError as error:
        raise UserError(f"{PARAMS}: arms.{name}.start: {error}") from None


def source(work: Session) -> SpeechModel:
    """The model that the session's arm starts from, with its weights."""
    arm = work.arm["start"]
    origin = dataclasses.replace(
        work,
        arm=arm,
        model=build_model(arm, work.composer.store),
        regularisers=regularisers.build(arm.get("regularisers", {})),
    )
    return origin.trained()
