"""The study `seek`: arms that find needles in haystacks of speech."""

import dataclasses
from collections.abc import Iterator

from focused_attention.params import Haystack
from focused_attention.runs import session
from focused_attention.runs.session import Session
from focused_attention.tasks.haystack import HaystackComposer, closed
from focused_attention.tasks.sizes import Size, largest
from focused_attention.tasks.utterances import Utterance


def begin(description: str | None, argv: list[str] | None) -> tuple[Session, HaystackComposer]:
    """The session of a stage's command line, as `session.begin`, and its haystacks."""
    work = session.begin(description, argv, study="seek", view=closed)
    return work, HaystackComposer(work.composer, work.params.haystack)


def plans(work: Session, haystacks: HaystackComposer) -> Iterator[list[Utterance]]:
    """The training batches, without end.

    An arm that starts from trained weights has its own, and does not learn to read again.
    """
    params = work.training
    shared = params.mixture, params.batch_seconds
    if "start" in work.arm:
        haystacks = HaystackComposer(work.composer, bounds(work))
    return haystacks.training(*shared, work.draws, params.curriculum)


def bounds(work: Session) -> Haystack:
    """What the training utterances hold: of an arm that starts from another, what it says itself,
    or `adapt`.
    """
    params = work.params
    if "start" not in work.arm:
        return params.haystack
    most = {name: work.arm.get(name, getattr(params.adapt, name)) for name in ("words", "prompts")}
    return dataclasses.replace(params.haystack, reading=0, **most)


def dev(work: Session, haystacks: HaystackComposer) -> dict[str, list[Utterance]]:
    """The dev utterances of every task that is trained, of the largest training size.

    Of an arm that starts from another also of the size that came first, as `recall short`.
    """
    params = work.training
    recall, spot = largest(bounds(work))
    sizes: dict[str, Size] = {"recall": recall, "spot": spot}
    if "start" in work.arm:
        sizes["recall short"] = largest(work.params.haystack)[0]
    return {
        name: haystacks.evaluation("dev", size, params.dev_utterances)
        for name, size in sizes.items()
        if size.task in params.mixture
    }
