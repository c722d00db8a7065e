"""Stage sweep: what a trained arm finds in haystacks while its attention is heated or cooled.

Nothing is trained: temperature is an intervention. Batches are dropped as soon as they are counted,
so memory does not grow with the sweep.
"""

import torch
from torch import Tensor

from focused_attention import results
from focused_attention.analysis.answers import Counts, recalled, spotted
from focused_attention.analysis.interventions import temperature
from focused_attention.errors import run
from focused_attention.haystack import HaystackComposer
from focused_attention.paths import RESULTS
from focused_attention.tasks import Batch, Utterance, bucketed
from focused_attention.training import device, session

ANSWERS = {"recall": recalled, "spot": spotted}


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv, study="seek")
    model, params = work.trained(), work.params.sweep
    haystacks = HaystackComposer(work.composer, work.params.haystack)
    rows = []
    for task, needles, sizes in (
        ("recall", params.pairs, params.words),
        ("spot", params.digits, params.prompts),
    ):
        for hay in sizes:
            utterances = haystacks.evaluation(task, "test", needles, hay, params.utterances)
            seconds = sum(u.frames for u in utterances) / len(utterances) * work.composer.frame
            counts = swept(work, model, ANSWERS[task], utterances)
            for (slot, value), answers in counts.items():
                rows.append(
                    {"task": task, "needles": needles, "hay": hay, "seconds": round(seconds, 3)}
                    | {"slot": slot, "temperature": value, "utterances": len(answers)}
                    | {
                        name: "".join(str(getattr(answer, name)) for answer in answers)
                        for name in ("asked", "written", "right")
                    }
                )
    results.write_csv(RESULTS / work.params.profile / "sweep" / f"{work.run}.csv", rows)


@torch.inference_mode()
def swept(
    work: session.Session, model, answer, utterances: list[Utterance]
) -> dict[tuple[str, float], list[Counts]]:
    """The answers to every utterance, in their order, for every slot and temperature."""
    params, composer = work.params.sweep, work.composer
    found: dict[tuple[str, float], dict[int, Counts]] = {}
    places = {id(u): i for i, u in enumerate(utterances)}

    def note(slot: str, value: float, batch: Batch, audio: Tensor, mask: Tensor | None) -> None:
        counts = answer(model, composer, batch, audio, mask)
        cell = found.setdefault((slot, value), {})
        cell |= {places[id(u)]: c for u, c in zip(batch.utterances, counts, strict=True)}

    for group in bucketed(utterances, params.batch_seconds / composer.frame):
        batch = composer.batch(group).to(work.hardware)
        with device.autocast(work.hardware):
            plain, mask, *_ = model.encoder(batch.features, batch.frames)
            for value in params.temperatures:
                with temperature(model, value, "encoder"):
                    heated = model.encoder(batch.features, batch.frames).audio
                note("encoder", value, batch, heated, mask)
                with temperature(model, value, "cross"):
                    note("cross", value, batch, plain, mask)
                    note("both", value, batch, heated, mask)
    return {cell: [counts[i] for i in sorted(counts)] for cell, counts in found.items()}


if __name__ == "__main__":
    run(main)
