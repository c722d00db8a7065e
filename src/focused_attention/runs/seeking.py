"""The study `seek`: arms that find needles in haystacks of speech."""

import dataclasses
from collections.abc import Iterator

from focused_attention.runs import session
from focused_attention.runs.session import Session
from focused_attention.tasks.haystack import TASKS, HaystackComposer, closed
from focused_attention.tasks.utterances import Utterance

STARTED = 1  # beside the seed: other utterances than those from which the weights were learnt


def begin(description: str | None, argv: list[str] | None) -> tuple[Session, HaystackComposer]:
    """The session of a stage's command line, as `session.begin`, and its haystacks."""
    work = session.begin(description, argv, study="seek", view=closed)
    return work, HaystackComposer(work.composer, work.params.haystack)


def plans(work: Session, haystacks: HaystackComposer) -> Iterator[list[Utterance]]:
    """The training batches, without end.

    An arm that starts from trained weights has its own, which do not grow: needles and hay are of
    all sizes from the first.
    """
    params = work.training
    shared = params.mixture, params.batch_seconds
    if "start" not in work.arm:
        return haystacks.training(*shared, work.seed, params.curriculum)
    grown = dataclasses.replace(work.params.haystack, reading=0)
    return HaystackComposer(work.composer, grown).training(*shared, [work.seed, STARTED])


def dev(work: Session, haystacks: HaystackComposer) -> dict[str, list[Utterance]]:
    """The dev utterances of every task that is trained, of the largest training size."""
    params, bounds = work.training, work.params.haystack
    most = {
        "recall": (bounds.pairs[1], bounds.words[1]),
        "spot": (bounds.digits[1], bounds.prompts[1]),
    }
    return {
        task: haystacks.evaluation(task, "dev", *most[task], params.dev_utterances)
        for task in TASKS
        if task in params.mixture
    }
