"""What is still found when small attention weights are dropped, or in int8.

At every temperature, so that temperatures can be compared at the same sparsity.
"""

from collections.abc import Iterable, Iterator

import torch

from focused_attention import measuring
from focused_attention.inference import refusal
from focused_attention.inference.int8 import int8 as quantised
from focused_attention.inference.temperature import temperature
from focused_attention.inference.topk import topk
from focused_attention.measures import Answers, Shown
from focused_attention.metrics.answers import likeliest_at, recalled, right
from focused_attention.metrics.counts import Counts
from focused_attention.models import SpeechModel
from focused_attention.runs.hearing import Heard, Recordings
from focused_attention.tasks.batches import Batch

Settings = measuring.Prune


class Prune(Answers):
    shown = Shown(
        by=("hay", "slot", "int8", "top_k", "temperature"),
        digits=("right",),
        figure={"slot": ("cross",), "temperature": (1.0,)},
    )

    def setup(self) -> None:
        for slot in self.settings.words:
            model = self.subject.model
            why = refusal(topk(model, slot, top_k=1)) or refusal(temperature(model, 0.5, slot))
            if why:
                self.lacking[slot] = why
        self.slots = [slot for slot in self.settings.words if slot not in self.lacking]

    def recordings(self) -> Iterable[Recordings]:
        of = self.settings
        for slot in self.slots:
            for hay in of.words[slot]:
                yield Recordings(
                    task="recall", needles=of.pairs, hay=hay, utterances=of.utterances,
                    batch_seconds=of.batch_seconds,
                )  # fmt: skip

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list[Counts]]]:
        of = self.settings
        for slot in (slot for slot in self.slots if asked.hay in of.words[slot]):
            for value in of.temperatures:
                for kept in (*of.top_k, None):
                    about = {"temperature": value, "slot": slot, "int8": False, "top_k": kept or ""}
                    yield about, pruned(heard, slot, value, kept)
            with quantised(heard.model) as small:
                batch = heard.batch.to(torch.device("cpu"))
                plain = small.encoder(batch.features, batch.frames)
                for value in of.temperatures:
                    about = {"temperature": value, "slot": slot, "int8": True, "top_k": ""}
                    yield about, answered(heard, small, batch, plain, slot, value)

    def rows(self) -> list[dict]:
        return sorted(super().rows(), key=lambda row: self.slots.index(row["slot"]))

    def row(self, asked: Recordings, condition: dict, values: list[Counts]) -> dict:
        about = {"needles": asked.needles, "hay": asked.hay, "utterances": len(values)}
        return about | condition | {"right": "".join(str(count.right) for count in values)}


def pruned(heard: Heard, slot: str, value: float, kept: int | None) -> list[Counts]:
    """The answers at a temperature and with so many weights of each row kept; None: all."""
    if kept is None and slot == "cross":
        return right(heard.composer, heard.batch, likeliest_at(heard, value))
    with topk(heard.model, slot, top_k=kept):
        return answered(heard, heard.model, heard.batch, heard.encoded(), slot, value)


def answered(
    heard: Heard, model: SpeechModel, batch: Batch, plain, slot: str, value: float
) -> list[Counts]:
    """The answers at a temperature; `plain` is the encoder's output, which its own changes."""
    with temperature(model, value, slot):
        again = slot == "encoder"
        audio, mask, *_ = model.encoder(batch.features, batch.frames) if again else plain
        return recalled(model, heard.composer, batch, audio, mask)
