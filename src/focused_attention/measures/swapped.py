"""Whose encoder and whose decoder it is that length costs: an arm and the one it goes on from.

Both have learnt from the same weights, so that either's decoder can read what the other's encoder
makes of a recording: four models of two.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from focused_attention.measures import Answers, Shown, Subject, recalled
from focused_attention.metrics.answers import Reply, logits, replies
from focused_attention.runs import start
from focused_attention.runs.hearing import Heard, Recordings


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Of the recordings of recall, the first."""

    words: list[int]
    fillers: list[str]
    utterances: int
    batch_seconds: float


def goes_on(subject: Subject) -> str | None:
    """The arm has a start."""
    return None if "start" in subject.work.arm else "it starts from no other arm's weights"


class Swapped(Answers):
    requires = (goes_on,)
    shown = Shown(by=("filler", "hay", "encoder", "decoder"), digits=("right", "bound"))

    def setup(self) -> None:
        subject = self.subject
        self.models = {"own": subject.model, "start": start.source(subject.work)}

    def recordings(self) -> Iterable[Recordings]:
        of = self.settings
        counts = {"utterances": of.utterances, "batch_seconds": of.batch_seconds}
        for words in of.words:
            for filler in of.fillers:
                yield recalled(self.subject.work.params.recall, words, filler, **counts)

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list[Reply]]]:
        batch, composer = heard.batch, heard.composer
        for encoder, hearing in self.models.items():
            own = encoder == "own"
            output = heard.encoded() if own else hearing.encoder(batch.features, batch.frames)
            for decoder, answering in self.models.items():
                found = logits(answering, composer, batch, output.audio, output.mask)
                given = replies(self.subject.haystacks, batch, found)
                yield {"encoder": encoder, "decoder": decoder}, given
