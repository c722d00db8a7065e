"""Stage adapt: one arm with one seed goes on from another's trained weights, to find needles."""

from functools import partial

from focused_attention.errors import run
from focused_attention.metrics.assessment import assess
from focused_attention.metrics.entropies import mean_entropies
from focused_attention.metrics.spans import focus
from focused_attention.runs import seeking, start
from focused_attention.training.fit import fit


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    start.adopt(work)
    fit(
        work,
        seeking.plans(work, haystacks),
        seeking.dev(work, haystacks),
        assess=partial(assess, probe=mean_entropies),
        watch=focus,
    )


if __name__ == "__main__":
    run(main)
