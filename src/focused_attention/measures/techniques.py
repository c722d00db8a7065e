"""What is found under techniques of inference: whatever is done to a trained model while it runs.

Each is held against the model as it was trained, `none`. A technique that refuses an arm has a row
that says why.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from focused_attention.errors import UserError
from focused_attention.inference import applied, refusal
from focused_attention.measures import Answers, Shown, recalled
from focused_attention.metrics.answers import logits, replies, spotted
from focused_attention.models import SpeechModel
from focused_attention.paths import PARAMS
from focused_attention.runs.hearing import Heard, Recordings
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.sizes import Spot

NONE = {"technique": "none"}
KEPT = ("right", "bound", "extra")  # of what is answered


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    words: list[int]  # to be passed over in recall
    prompts: list[int]  # and in spot
    utterances: int  # of every size
    batch_seconds: float
    list: list[dict]  # {technique: name, slots: [...], and its settings}


class Techniques(Answers):
    shown = Shown(by=("technique", "settings", "task", "hay"), digits=KEPT)

    def setup(self) -> None:
        self.refused: dict[str, str] = {}
        for i, entry in enumerate(self.settings.list):
            try:
                why = refusal(using(self.subject.model, entry))
            except (KeyError, ValueError) as error:
                raise UserError(f"{PARAMS}: measure.techniques.list[{i}]: {error}") from None
            if why:
                self.refused[words(entry)] = why
                self.lacking[words(entry)] = why

    def recordings(self) -> Iterable[Recordings]:
        of, params = self.settings, self.subject.work.params
        counts = {"utterances": of.utterances, "batch_seconds": of.batch_seconds}
        for words in of.words:
            yield recalled(params.recall, words, **counts)
        for prompts in of.prompts:
            yield Recordings(size=Spot(digits=params.spot.digits, prompts=prompts), **counts)

    def answers(self, asked: Recordings, heard: Heard) -> Iterator[tuple[dict, list]]:
        for entry in (NONE, *self.settings.list):
            if words(entry) in self.refused:
                continue
            with using(heard.model, entry) as model:
                hardware = next(model.parameters()).device  # a technique may move what it changes
                batch = heard.batch.to(hardware)
                if entry is NONE:
                    audio, mask, *_ = heard.encoded()
                else:
                    audio, mask, *_ = model.encoder(batch.features, batch.frames)
                answers = self.answered(asked, model, batch, audio, mask)
            yield said(entry), answers

    def answered(self, asked: Recordings, model: SpeechModel, batch: Batch, audio, mask) -> list:
        given = model, self.subject.work.composer, batch, audio, mask
        if asked.size.task == "spot":
            return spotted(*given)
        return replies(self.subject.haystacks, batch, logits(*given))

    def row(self, asked: Recordings, condition: dict, values: list) -> dict:
        found = super().row(asked, condition, values)
        named = (*asked.about, "seconds", *condition, "utterances")
        return {name: found[name] for name in named} | {name: found.get(name, "") for name in KEPT}

    def rows(self) -> list[dict]:
        rows = super().rows()
        empty = dict.fromkeys(rows[0], "")
        refused = [e for e in self.settings.list if words(e) in self.refused]
        return [row | {"note": ""} for row in rows] + [
            empty | said(entry) | {"note": f"not applicable: {self.refused[words(entry)]}"}
            for entry in refused
        ]


def using(model: SpeechModel, entry: dict) -> AbstractContextManager[SpeechModel]:
    """The technique of an entry of the list, as a context manager that yields the model to run."""
    if entry == NONE:
        return nullcontext(model)
    settings = {k: v for k, v in entry.items() if k not in ("technique", "slots")}
    return applied(model, entry["technique"], *entry.get("slots", ()), **settings)


def said(entry: dict) -> dict:
    """An entry of the list as columns of the results."""
    settings = {k: v for k, v in entry.items() if k not in ("technique", "slots")}
    told = [*entry.get("slots", ()), *(f"{k}={v}" for k, v in settings.items())]
    return {"technique": entry["technique"], "settings": " ".join(told)}


def words(entry: dict) -> str:
    return " ".join(filter(None, said(entry).values()))
