"""What is found in haystacks while attention is heated or cooled.

Nothing is trained: temperature is an intervention. Beside every size and slot of the test
utterances, `recall` at its longest is swept in cross-attention on dev utterances, to choose a
temperature on, and with every answer exchanged for that of another utterance, which no model can
know.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from focused_attention import measuring
from focused_attention.inference.temperature import temperature
from focused_attention.measures import Answers, Shown, tempered
from focused_attention.metrics.answers import ANSWERS, likeliest_at, right
from focused_attention.metrics.counts import Counts
from focused_attention.models.skeleton import EncoderOutput
from focused_attention.runs.hearing import Heard, Recordings
from focused_attention.tasks.utterances import Utterance

Settings = measuring.Sweep


class Sweep(Answers):
    requires = (tempered("cross"),)
    shown = Shown(
        by=("split", "answers", "task", "hay", "slot", "temperature"),
        digits=("right",),
        figure={"split": ("test",), "answers": ("own",), "slot": ("cross",), "temperature": (1.0,)},
    )

    def setup(self) -> None:
        self.heated = self.subject.encoder_too
        if self.heated and (why := tempered("encoder")(self.subject)):
            self.heated, self.lacking["encoder"] = False, why

    def recordings(self) -> Iterable[Recordings]:
        of = self.settings
        sizes = {"utterances": of.utterances, "batch_seconds": of.batch_seconds}
        for hay in of.words:
            yield Recordings(task="recall", needles=of.pairs, hay=hay, **sizes)
        for hay in of.prompts:
            yield Recordings(task="spot", needles=of.digits, hay=hay, **sizes)
        longest = max(of.words)
        yield Recordings(task="recall", split="dev", needles=of.pairs, hay=longest, **sizes)

    def longest(self, asked: Recordings) -> bool:
        """Whether these are the recordings whose answers are exchanged."""
        far = max(self.settings.words)
        return (asked.task, asked.split, asked.hay) == ("recall", "test", far)

    def begin(self, asked: Recordings, utterances: Sequence[Utterance]) -> None:
        super().begin(asked, utterances)
        if self.longest(asked):
            pairs = zip(utterances, exchanged(utterances), strict=True)
            self.others = {id(u): other for u, other in pairs}

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list[Counts]]]:
        about = {"split": asked.split, "answers": "own"}
        for value in self.settings.temperatures:
            at = {"temperature": value}
            yield about | {"slot": "cross"} | at, self.cooled(asked, heard, value)
            if self.heated and asked.split == "test":
                answer = ANSWERS[asked.task]
                audio, mask = heated(heard, value).audio, heard.encoded().mask
                given = heard.model, heard.composer, heard.batch, audio, mask
                yield about | {"slot": "encoder"} | at, answer(*given)
                with temperature(heard.model, value, "cross"):
                    yield about | {"slot": "both"} | at, answer(*given)
        if self.longest(asked):
            yield from self.exchanged(heard)

    def cooled(self, asked: Recordings, heard: Heard, value: float) -> list[Counts]:
        """The answers at a temperature of cross-attention."""
        if asked.task == "recall":
            return right(heard.composer, heard.batch, likeliest_at(heard, value))
        audio, mask, *_ = heard.encoded()
        with temperature(heard.model, value, "cross"):
            return ANSWERS[asked.task](heard.model, heard.composer, heard.batch, audio, mask)

    def exchanged(self, heard: Heard) -> Iterator[tuple[dict, list[Counts]]]:
        """Whether the answers are those of the next utterance."""
        batch = heard.batch
        others = [self.others[id(u)] for u in batch.utterances]
        alike = heard.composer.batch(others, batch.features).to(batch.features.device)
        for value in self.settings.temperatures:
            about = {"split": "test", "answers": "another", "slot": "cross", "temperature": value}
            yield about, right(heard.composer, alike, likeliest_at(heard, value, alike))

    def rows(self) -> list[dict]:
        return sorted(super().rows(), key=lambda row: row["answers"] == "another")

    def row(self, asked: Recordings, condition: dict, values: list[Counts]) -> dict:
        found = super().row(asked, condition, values)
        return {name: found[name] for name in ("split", "answers")} | found


def exchanged(utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances as they sound, each with the answer of the next, the last with the first's."""
    return [
        dataclasses.replace(u, text=other.text, tokens=other.tokens)
        for u, other in zip(utterances, [*utterances[1:], utterances[0]], strict=True)
    ]


def heated(heard: Heard, value: float) -> EncoderOutput:
    """The encoder's output at a temperature of its attention."""
    with temperature(heard.model, value, "encoder"):
        return heard.model.encoder(heard.batch.features, heard.batch.frames)
