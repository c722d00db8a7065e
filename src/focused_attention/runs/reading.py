"""The study `train`: arms that learn to recognise speech."""

from collections.abc import Iterator

from focused_attention.runs.session import Session
from focused_attention.tasks.utterances import Utterance


def plans(work: Session) -> Iterator[list[Utterance]]:
    """The training batches, without end."""
    params = work.training
    return work.composer.training(
        params.mixture, params.batch_seconds, work.draws, params.curriculum
    )


def dev(work: Session) -> dict[str, list[Utterance]]:
    """The dev utterances of every task that is trained."""
    params = work.training
    return {
        task: work.composer.evaluation(task, "dev", params.dev_utterances)
        for task in params.mixture
    }
