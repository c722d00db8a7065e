"""Stage sweep: what a trained arm finds in haystacks while its attention is heated or cooled.

Nothing is trained: temperature is an intervention. Batches are dropped as soon as they are counted,
so memory does not grow with the sweep.

Beside every size and slot of the test utterances, `recall` at its longest is swept in
cross-attention on dev utterances, to choose a temperature on, and with every answer exchanged for
that of another utterance, which no model can know.
"""

import dataclasses

import torch
from torch import Tensor

from focused_attention import results
from focused_attention.errors import UserError, run
from focused_attention.inference import refusal
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.answers import recalled, spotted
from focused_attention.metrics.counts import Counts, digits
from focused_attention.paths import PARAMS, RESULTS
from focused_attention.runs import device, seeking
from focused_attention.runs.session import Session
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.utterances import Utterance

ANSWERS = {"recall": recalled, "spot": spotted}


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    model, params = work.trained(), work.params.sweep
    longest, heated = max(params.words), work.arm["arm"] in work.params.runs.encoder
    for slot, named in (("cross", "runs.seek.arms"), *([("encoder", "runs.encoder")] * heated)):
        if why := refusal(temperature(model, 0.5, slot)):
            raise UserError(
                f"{work.arm['arm']}: stage sweep cannot heat its {slot} attention: {why}; take the "
                f"arm off {named} in {PARAMS}"
            )
    plan = [("test", "own", "recall", params.pairs, hay, heated) for hay in params.words]
    plan += [("test", "own", "spot", params.digits, hay, heated) for hay in params.prompts]
    plan += [
        (split, answers, "recall", params.pairs, longest, False)
        for split, answers in (("dev", "own"), ("test", "another"))
    ]
    rows = []
    for split, answers, task, needles, hay, encoder in plan:
        utterances = haystacks.evaluation(task, split, needles, hay, params.utterances)
        if answers == "another":
            utterances = exchanged(utterances)
        seconds = sum(u.frames for u in utterances) / len(utterances) * work.composer.frame
        about = {"split": split, "answers": answers, "task": task, "needles": needles, "hay": hay}
        for (slot, value), counts in swept(work, model, ANSWERS[task], utterances, encoder).items():
            rows.append(
                about | {"seconds": round(seconds, 3), "slot": slot, "temperature": value}
                | {"utterances": len(counts)} | digits(counts, task)
            )  # fmt: skip
    results.write_csv(RESULTS / work.params.profile / "sweep" / f"{work.run}.csv", rows)


def exchanged(utterances: list[Utterance]) -> list[Utterance]:
    """The utterances as they sound, each with the answer of the next, the last with the first's."""
    return [
        dataclasses.replace(u, text=other.text, tokens=other.tokens)
        for u, other in zip(utterances, utterances[1:] + utterances[:1], strict=True)
    ]


@torch.inference_mode()
def swept(
    work: Session, model, answer, utterances: list[Utterance], encoder: bool
) -> dict[tuple[str, float], list[Counts]]:
    """The answers to every utterance, in their order, for every slot and temperature.

    Without `encoder`, temperature is that of cross-attention alone.
    """
    params, composer = work.params.sweep, work.composer
    found: dict[tuple[str, float], dict[int, Counts]] = {}
    places = {id(u): i for i, u in enumerate(utterances)}

    def note(slot: str, value: float, batch: Batch, audio: Tensor, mask: Tensor | None) -> None:
        counts = answer(model, composer, batch, audio, mask)
        cell = found.setdefault((slot, value), {})
        cell |= {places[id(u)]: c for u, c in zip(batch.utterances, counts, strict=True)}

    for batch in work.batches(utterances, params.batch_seconds):
        with device.autocast(work.hardware):
            plain, mask, *_ = model.encoder(batch.features, batch.frames)
            for value in params.temperatures:
                with temperature(model, value, "cross"):
                    note("cross", value, batch, plain, mask)
                if not encoder:
                    continue
                with temperature(model, value, "encoder"):
                    heated = model.encoder(batch.features, batch.frames).audio
                note("encoder", value, batch, heated, mask)
                with temperature(model, value, "cross"):
                    note("both", value, batch, heated, mask)
    return {cell: [counts[i] for i in sorted(counts)] for cell, counts in found.items()}


if __name__ == "__main__":
    run(main)
