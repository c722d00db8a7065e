"""Which digits are spotted among prompts while cross-attention is heated or cooled.

Of every recording which of its digits were written, in their order, so that it is seen where the
model stops; and how many words beside them.
"""

from collections.abc import Iterable, Iterator

from focused_attention import measuring
from focused_attention.inference.temperature import temperature
from focused_attention.measures import Answers, Shown, tempered
from focused_attention.metrics.answers import Spotted, spotted
from focused_attention.runs.hearing import Heard, Recordings
from focused_attention.tasks import sizes

Settings = measuring.Spot


class Spot(Answers):
    requires = (tempered("cross"),)
    shown = Shown(
        by=("hay", "temperature"), digits=("right", "extra"), figure={"temperature": (1.0,)}
    )

    def recordings(self) -> Iterable[Recordings]:
        of = self.settings
        for prompts in of.prompts:
            yield Recordings(
                size=sizes.Spot(digits=of.digits, prompts=prompts),
                utterances=of.utterances, batch_seconds=of.batch_seconds,
            )  # fmt: skip

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list[Spotted]]]:
        audio, mask, *_ = heard.encoded()
        of = self.settings
        for value in of.temperatures if self.subject.swept else of.others:
            with temperature(heard.model, value, "cross"):
                found = spotted(heard.model, heard.composer, heard.batch, audio, mask)
            yield {"temperature": value}, found
