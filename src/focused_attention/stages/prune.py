"""Stage prune: what a trained arm still finds when small attention weights are dropped, or in int8.

At every temperature, so that temperatures can be compared at the same sparsity.
"""

import torch

from focused_attention import results
from focused_attention.errors import UserError, run
from focused_attention.inference import refusal
from focused_attention.inference.int8 import int8 as quantised
from focused_attention.inference.temperature import temperature
from focused_attention.inference.topk import topk as sparse
from focused_attention.metrics.answers import recalled
from focused_attention.models import SpeechModel
from focused_attention.paths import PARAMS, RESULTS
from focused_attention.runs import device, seeking
from focused_attention.runs.session import Session
from focused_attention.tasks.utterances import Utterance


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    model, params = work.trained(), work.params.prune
    for slot in params.words:
        why = refusal(sparse(model, slot, top_k=1)) or refusal(temperature(model, 0.5, slot))
        if why:
            raise UserError(
                f"{work.arm['arm']}: stage prune cannot change its {slot} attention: {why}; take "
                f"the arm off runs.prune or the slot out of prune.words in {PARAMS}"
            )
    kinds = ((model, False, (*params.top_k, None)), (quantised(model), True, (None,)))
    rows = []
    for slot, sizes in params.words.items():
        for hay in sizes:
            utterances = haystacks.evaluation(
                "recall", "test", params.pairs, hay, params.utterances
            )
            about = {"needles": params.pairs, "hay": hay, "utterances": len(utterances)}
            for kind, int8, top_k in kinds:
                answers = pruned(work, kind, utterances, slot, top_k, int8)
                rows += [
                    about | {"temperature": value, "slot": slot, "int8": int8}
                    | {"top_k": kept or "", "right": right}
                    for (value, kept), right in answers.items()
                ]  # fmt: skip
    results.write_csv(RESULTS / work.params.profile / "prune" / f"{work.run}.csv", rows)


@torch.inference_mode()
def pruned(
    work: Session,
    model: SpeechModel,
    utterances: list[Utterance],
    slot: str,
    top_k: tuple[int | None, ...],
    int8: bool = False,
) -> dict[tuple[float, int | None], str]:
    """By temperature and number of weights kept: a one for every utterance whose value is recalled,
    a nought for the others, in order. A model in int8 is on the CPU."""
    hardware = torch.device("cpu") if int8 else work.hardware
    params, composer = work.params.prune, work.composer
    right: dict[tuple[float, int | None], dict[int, int]] = {
        (value, kept): {} for value in params.temperatures for kept in top_k
    }
    for batch in work.batches(utterances, params.batch_seconds, hardware):
        with device.autocast(hardware):
            plain = model.encoder(batch.features, batch.frames)
            for (value, kept), found in right.items():
                with temperature(model, value, slot), sparse(model, slot, top_k=kept):
                    again = slot == "encoder"
                    heard = model.encoder(batch.features, batch.frames) if again else plain
                    counts = recalled(model, composer, batch, heard.audio, heard.mask)
                answers = zip(batch.utterances, counts, strict=True)
                found |= {id(u): count.right for u, count in answers}
    return {
        condition: "".join(str(found[id(u)]) for u in utterances)
        for condition, found in right.items()
    }


if __name__ == "__main__":
    run(main)
