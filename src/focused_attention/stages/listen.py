"""Stage listen: what a text costs a published Whisper while its attention is heated or cooled.

One model, one slot: every temperature on every recording of every condition and length, and the
same in single layers. Nothing is trained. A cell is written down as soon as it is measured, so a
run that is ended goes on where it was.
"""

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from focused_attention import results
from focused_attention.decoding import published
from focused_attention.decoding.forced import heated_losses
from focused_attention.decoding.windows import Listener
from focused_attention.errors import run
from focused_attention.inference import applied, attentions
from focused_attention.models import SpeechModel
from focused_attention.params import Listen, load
from focused_attention.paths import LOGS, RESULTS
from focused_attention.runs import device
from focused_attention.tasks.joined import Prompt, deal
from focused_attention.training.journal import progress
from focused_attention.trials import SEED, WINDOW, Journal, features, given, speech

AFTER = 1.0  # seconds of silence after speech that is not padded


@dataclass(frozen=True, slots=True)
class Cell:
    """Recordings that are heard in one way."""

    condition: str  # padded, unpadded or keys; exchanged: padded, with another one's text
    length: float  # seconds of the recordings
    silence: float  # seconds after them
    layer: int | None  # that is heated alone; None: all of the slot
    temperatures: tuple[float, ...]
    recordings: int
    technique: tuple[tuple[str, object], ...] = ()  # what else is done to the model, by setting

    @property
    def about(self) -> dict:
        return {
            "condition": self.condition,
            "length": self.length,
            "silence": self.silence,
            "layer": "all" if self.layer is None else self.layer,
            "technique": " ".join(str(value) for _, value in self.technique) or "none",
        }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a published checkpoint, tiny.en or base")
    parser.add_argument("slot", choices=("encoder", "decoder", "cross"))
    args = parser.parse_args(argv)
    params = load()
    device.prepare(params.threads, device.NATIVE)
    listener = published.listener(args.model)
    pool = speech(params.listen)
    depth = len(attentions(listener.model, args.slot))
    cells = list(planned(params.listen, args.model, args.slot, depth))
    label = f"{args.model}-{args.slot}"
    journal = LOGS / params.profile / "listen" / f"{label}.jsonl"
    known = Journal(journal, {"pool": sorted(pool), "model": args.model, "slot": args.slot})
    bar = progress(len(cells), 0, f"listen {label}")
    rows = []
    for cell in cells:
        if (found := known.get(cell)) is None:
            found = known.keep(cell, measured(listener, args.slot, pool, cell))
        rows += found
        bar.update(1)
    bar.close()
    folder = RESULTS / params.profile / "listen"
    results.write_csv(folder / f"{label}.csv", rows)
    results.write_csv(folder / f"{label}-recordings.csv", held(pool, cells))


def planned(params: Listen, model: str, slot: str, depth: int) -> Iterator[Cell]:
    """Every cell of a slot: conditions and lengths in all layers.

    Of the first model all conditions, then layer by layer, and what else is done to
    cross-attention.
    """
    heats = tuple(params.temperatures)
    count = min(params.recordings[name] for name in (slot, model) if name in params.recordings)
    for condition in params.conditions if model == params.models[0] else params.others:
        if condition == "keys":
            shortest = min(params.lengths)
            for silence in params.silences:
                yield Cell(condition, shortest, silence, None, heats, count)
            continue
        for length in params.lengths:
            yield Cell(condition, length, after(condition, length), None, heats, count)
    if model != params.models[0]:
        return
    few = min(count, params.recordings.get(f"single-{slot}", params.recordings["single"]))
    single = tuple(params.single_temperatures)
    for length in params.single_lengths:
        for layer in range(depth):
            yield Cell("padded", length, after("padded", length), layer, single, few)
    if slot == "cross":
        longest = max(params.lengths)
        yield Cell("exchanged", longest, after("padded", longest), None, single, few)
        heats = tuple(params.technique_temperatures)
        for technique in params.techniques:
            settings = tuple(technique.items())
            silence = after("padded", longest)
            yield Cell("padded", longest, silence, None, heats, few, settings)


def held(pool: dict[str, Prompt], cells: list[Cell]) -> list[dict]:
    """A row for every recording: its place among those of its length, and its prompts."""
    most: dict[float, int] = {}
    for cell in cells:
        most[cell.length] = max(cell.recordings, most.get(cell.length, 0))
    return [
        {"length": length, "recording": i, "prompts": " ".join(joined.prompts)}
        for length, count in sorted(most.items())
        for i, joined in enumerate(deal(pool, length, count, SEED))
    ]


def after(condition: str, length: float) -> float:
    """Seconds of silence after a recording."""
    return AFTER if condition == "unpadded" else WINDOW - length


@torch.inference_mode()
def measured(listener: Listener, slot: str, pool: dict[str, Prompt], cell: Cell) -> list[dict]:
    """A row for every temperature of a cell: the loss a token of each recording, in their order."""
    found: dict[float, list[float]] = {value: [] for value in cell.temperatures}
    tokens = keys = 0
    options = {"slot": slot, "temperatures": cell.temperatures}
    if cell.layer is not None:
        options["layers"] = [cell.layer]
    with changed(listener.model, **dict(cell.technique)) as model:
        dealt = deal(pool, cell.length, cell.recordings, SEED)
        others = dealt[1:] + dealt[:1] if cell.condition == "exchanged" else dealt
        for joined, other in zip(dealt, others, strict=True):
            mel = features(pool, joined, cell.silence)
            prefix, text = given(listener, other.text)
            tokens += len(text)
            keys += mel.shape[-1] // model.downsampling
            for value, losses in heated_losses(model, mel, prefix, text, **options):
                found[value].append(losses.mean().item())
    return [
        cell.about
        | {"temperature": value, "keys": keys / cell.recordings, "tokens": tokens}
        | {"losses": " ".join(f"{loss:.4f}" for loss in losses)}
        for value, losses in found.items()
    ]


def changed(model: SpeechModel, technique: str = "", slot: str = "", **settings):
    """The model with a technique of `inference/` applied, if one is named; a context manager."""
    slots = [slot] if slot else []
    return applied(model, technique, *slots, **settings) if technique else nullcontext(model)


if __name__ == "__main__":
    run(main)
