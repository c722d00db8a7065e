"""Stage train: one arm with one seed learns to recognise speech; on a GPU where there is one."""

from focused_attention.errors import UserError, run
from focused_attention.metrics.assessment import assess
from focused_attention.metrics.spans import focus
from focused_attention.paths import PARAMS
from focused_attention.runs import session
from focused_attention.training.fit import fit


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv)
    if work.stage != "train":
        raise UserError(f"{PARAMS}: arms.{work.arm['arm']}: has a start; run stage {work.stage}")
    composer, params = work.composer, work.training
    fit(
        work,
        composer.training(params.mixture, params.batch_seconds, work.seed, params.curriculum),
        {task: composer.evaluation(task, "dev", params.dev_utterances) for task in params.mixture},
        assess=assess,
        watch=focus,
    )


if __name__ == "__main__":
    run(main)
