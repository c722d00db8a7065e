"""Stage train: one arm with one seed learns to recognise speech; on a GPU where there is one."""

from focused_attention.errors import UserError, run
from focused_attention.metrics.assessment import assess
from focused_attention.metrics.spans import focus
from focused_attention.paths import PARAMS
from focused_attention.runs import reading, session
from focused_attention.training.fit import fit


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv)
    if work.stage != "train":
        raise UserError(f"{PARAMS}: arms.{work.arm['arm']}: has a start; run stage {work.stage}")
    fit(work, reading.plans(work), reading.dev(work), assess=assess, watch=focus)


if __name__ == "__main__":
    run(main)
