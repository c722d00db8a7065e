"""What is still recalled when small attention weights are dropped.

At every temperature, so that temperatures can be compared at the same sparsity.
"""

from collections.abc import Iterable, Iterator

from focused_attention import measuring
from focused_attention.inference import refusal
from focused_attention.inference.temperature import temperature
from focused_attention.inference.topk import topk
from focused_attention.measures import Answers, Shown, recalled
from focused_attention.metrics.answers import Reply, logits, logits_at, replies
from focused_attention.runs.hearing import Heard, Recordings

Settings = measuring.Prune


class Prune(Answers):
    shown = Shown(
        by=("hay", "slot", "top_k", "temperature"),
        digits=("right", "bound"),
        numbers=("nats",),
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
        counts = {"utterances": of.utterances, "batch_seconds": of.batch_seconds}
        for words in sorted({words for slot in self.slots for words in of.words[slot]}):
            yield recalled(self.subject.work.params.recall, words, **counts)

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list[Reply]]]:
        of = self.settings
        for slot in (slot for slot in self.slots if asked.size.words in of.words[slot]):
            for value in of.temperatures:
                for kept in (*of.top_k, None):
                    about = {"slot": slot, "temperature": value, "top_k": kept or ""}
                    yield about, self.pruned(heard, slot, value, kept)

    def pruned(self, heard: Heard, slot: str, value: float, kept: int | None) -> list[Reply]:
        """The answers at a temperature and with so many weights of each row kept; None: all."""
        model, batch, haystacks = heard.model, heard.batch, self.subject.haystacks
        if kept is None and slot == "cross":
            return replies(haystacks, batch, logits_at(heard, value))
        with topk(model, slot, top_k=kept), temperature(model, value, slot):
            again = slot == "encoder"
            output = model.encoder(batch.features, batch.frames) if again else heard.encoded()
            found = logits(model, heard.composer, batch, output.audio, output.mask)
        return replies(haystacks, batch, found)
