"""Stage vary: one arm with one seed goes on from another's trained weights, to recognise speech."""

from focused_attention.errors import run
from focused_attention.metrics.assessment import assess
from focused_attention.metrics.spans import focus
from focused_attention.runs import reading, session, start
from focused_attention.training.fit import fit


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv)
    start.adopt(work)
    fit(work, reading.plans(work), reading.dev(work), assess=assess, watch=focus)


if __name__ == "__main__":
    run(main)
