"""Whether a model answers with a digit at all, at every temperature.

Values are digits, so whoever answers with any digit is right one in ten times. A model whose
attention is too soft may write something else, and a temperature that brings digits back brings
back guesses with them. Asked of recall at the longest size of the sweep, in cross-attention.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from focused_attention.measures import Answers, Shown, tempered
from focused_attention.metrics.answers import asked as places
from focused_attention.metrics.answers import likeliest_at, right
from focused_attention.runs.hearing import Heard, Recordings
from focused_attention.tasks.utterances import DIGITS


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Those of the sweep."""


class Guess(Answers):
    requires = (tempered("cross"),)
    shown = Shown(by=("hay", "temperature"), digits=("right", "digit"))

    def setup(self) -> None:
        encode = self.subject.work.composer.store.tokenizer.encode
        self.begun = torch.tensor(sorted({encode(digit)[0] for digit in DIGITS}))

    def recordings(self) -> Iterable[Recordings]:
        of = self.subject.work.params.sweep
        yield Recordings(
            task="recall", needles=of.pairs, hay=max(of.words), utterances=of.utterances,
            batch_seconds=of.batch_seconds,
        )  # fmt: skip

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list]]:
        starts, _ = places(heard.composer, heard.batch)
        for value in self.subject.work.params.sweep.temperatures:
            found = likeliest_at(heard, value)
            counts = right(heard.composer, heard.batch, found)
            first = found.cpu()[torch.arange(len(starts)), torch.tensor(starts)]
            digit = torch.isin(first, self.begun).int().tolist()
            answers = zip((count.right for count in counts), digit, strict=True)
            yield {"temperature": value}, list(answers)

    def row(self, asked: Recordings, condition: dict, values: list) -> dict:
        about = {"needles": asked.needles, "hay": asked.hay} | condition
        columns = zip(("right", "digit"), zip(*values, strict=True), strict=True)
        return about | {"utterances": len(values)} | {k: "".join(map(str, v)) for k, v in columns}
