"""The study `seek`: arms that find needles in haystacks of speech."""

from focused_attention.runs import session
from focused_attention.runs.session import Session
from focused_attention.tasks.haystack import HaystackComposer, closed


def begin(description: str | None, argv: list[str] | None) -> tuple[Session, HaystackComposer]:
    """The session of a stage's command line, as `session.begin`, and its haystacks."""
    work = session.begin(description, argv, study="seek", view=closed)
    return work, HaystackComposer(work.composer, work.params.haystack)
