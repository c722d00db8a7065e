"""What is recalled while attention is heated or cooled, and what is answered instead.

Nothing is trained: temperature is an intervention. Every answer is kept: the digit that is written,
or that none is, and the likeliest of the digits that were heard. What a digit was in its recording,
stage `asked` says. At its longest, recall is asked on dev utterances too, to choose a temperature
on. Of arms that `runs.swept` does not name, only a few temperatures and the first filler.
"""

from collections.abc import Iterable, Iterator

from focused_attention import measuring
from focused_attention.inference.temperature import temperature
from focused_attention.measures import Answers, Shown, recalled, tempered
from focused_attention.metrics.answers import Reply, logits, logits_at, replies
from focused_attention.runs.hearing import Heard, Recordings

Settings = measuring.Recall


class Recall(Answers):
    requires = (tempered("cross"),)
    shown = Shown(
        by=("split", "filler", "hay", "slot", "temperature"),
        digits=("right", "bound"),
        numbers=("nats",),
        figure={"split": ("test",), "slot": ("cross",), "temperature": (1.0,)},
    )

    def setup(self) -> None:
        of, swept = self.settings, self.subject.swept
        self.temperatures = of.temperatures if swept else of.others
        self.heated = self.subject.encoder_too
        if self.heated and (why := tempered("encoder")(self.subject)):
            self.heated, self.lacking["encoder"] = False, why

    def recordings(self) -> Iterable[Recordings]:
        of = self.settings
        for words in of.words:
            for filler in of.fillers if self.subject.swept else of.fillers[:1]:
                yield recalled(of, words, filler)
        yield recalled(of, max(of.words), split="dev")

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list[Reply]]]:
        haystacks, about = self.subject.haystacks, {"split": asked.split}
        for value in self.temperatures:
            at = {"temperature": value}
            found = logits_at(heard, value)
            yield about | {"slot": "cross"} | at, replies(haystacks, heard.batch, found)
            if self.heated and asked.split == "test":
                yield about | {"slot": "encoder"} | at, self.heard_hot(heard, value)

    def heard_hot(self, heard: Heard, value: float) -> list[Reply]:
        """The answers with the encoder's attention at a temperature."""
        batch, haystacks = heard.batch, self.subject.haystacks
        with temperature(heard.model, value, "encoder"):
            audio, mask, *_ = heard.model.encoder(batch.features, batch.frames)
        return replies(haystacks, batch, logits(heard.model, heard.composer, batch, audio, mask))
