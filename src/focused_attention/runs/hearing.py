"""The one loop in which a trained model hears recordings: rendered, batched, moved, encoded once.

Whoever asks something of a recording is a listener. All that listen to the same recordings are told
of a batch before the next one is rendered, and share what the model makes of it.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from focused_attention.models import SpeechModel
from focused_attention.models.skeleton import EncoderOutput
from focused_attention.runs import device
from focused_attention.runs.session import Session
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.sizes import Size, Spot
from focused_attention.tasks.utterances import Utterance

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recordings:
    """Test or dev recordings of one size of haystack, and how they are batched."""

    size: Size
    utterances: int
    batch_seconds: float
    split: str = "test"

    @property
    def about(self) -> dict[str, str | int]:
        """What they hold, as columns of the results."""
        size = self.size
        if isinstance(size, Spot):
            told = {"needles": size.digits, "hay": size.prompts, "filler": "prompts"}
        else:
            told = {"needles": size.pairs, "hay": size.words, "filler": size.filler}
        return {"task": size.task} | told


@dataclass(kw_only=True)
class Heard:
    """A batch, and what the model makes of it: nothing that has a name is made twice."""

    model: SpeechModel
    composer: Composer
    batch: Batch
    count: Counter = field(default_factory=Counter)  # what was asked for, and what was made
    kept: dict[Hashable, object] = field(default_factory=dict, repr=False)

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, which another listener may have asked for by the same name."""
        self.count["asked"] += 1
        if name not in self.kept:
            self.count["made"] += 1
            self.kept[name] = make()
        return self.kept[name]

    def encoded(self) -> EncoderOutput:
        """The encoder's output of the model as it was trained."""
        batch = self.batch
        return self.once("encoded", lambda: self.model.encoder(batch.features, batch.frames))


Listener = Callable[[Heard], None]


@torch.inference_mode()
def hear(
    work: Session,
    model: SpeechModel,
    utterances: Sequence[Utterance],
    batch_seconds: float,
    listeners: Iterable[Listener],
) -> Counter:
    """Have the model hear utterances, in batches of at most `batch_seconds` of padded audio.

    Every listener is told of every batch, in the device's precision. Returns how many batches were
    asked for and made, and how many of the model's outputs.
    """
    listeners, count = list(listeners), Counter()
    for batch in work.batches(utterances, batch_seconds):
        heard = Heard(model=model, composer=work.composer, batch=batch, count=count)
        count["batches"] += 1
        count["batches asked"] += len(listeners)
        with device.autocast(work.hardware):
            for listen in listeners:
                listen(heard)
    return count
