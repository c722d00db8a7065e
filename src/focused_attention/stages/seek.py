"""Stage seek: one arm with one seed learns to find needles in haystacks of speech."""

from functools import partial

from focused_attention.errors import UserError, run
from focused_attention.metrics.assessment import assess
from focused_attention.metrics.entropies import mean_entropies
from focused_attention.metrics.spans import focus
from focused_attention.paths import PARAMS
from focused_attention.runs import seeking
from focused_attention.training.fit import fit


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    if work.stage != "seek":
        raise UserError(f"{PARAMS}: arms.{work.arm['arm']}: has a start; run stage {work.stage}")
    fit(
        work,
        seeking.plans(work, haystacks),
        seeking.dev(work, haystacks),
        assess=partial(assess, probe=mean_entropies),
        watch=focus,
    )


if __name__ == "__main__":
    run(main)
