"""Stage prune: what a trained arm still finds when small attention weights are dropped, or in int8.

At every temperature, so that temperatures can be compared at the same sparsity.
"""

import torch

from focused_attention import results
from focused_attention.analysis.answers import recalled
from focused_attention.analysis.interventions import quantised, sparse, temperature
from focused_attention.errors import run
from focused_attention.models import SpeechModel
from focused_attention.paths import RESULTS
from focused_attention.tasks import Utterance, bucketed
from focused_attention.training import seeking
from focused_attention.training.session import Session


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    model, params = work.trained(), work.params.prune
    kinds = ((model, False, (*params.top_k, None)), (quantised(model), True, (None,)))
    rows = []
    for slot, sizes in params.words.items():
        for hay in sizes:
            utterances = haystacks.evaluation(
                "recall", "test", params.pairs, hay, params.utterances
            )
            about = {"needles": params.pairs, "hay": hay, "utterances": len(utterances)}
            for kind, int8, top_k in kinds:
                answers = pruned(work, kind, utterances, slot, top_k)
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
) -> dict[tuple[float, int | None], str]:
    """By temperature and number of weights kept: a one for every utterance whose value is recalled,
    a nought for the others, in order."""
    params, composer = work.params.prune, work.composer
    right: dict[tuple[float, int | None], dict[int, int]] = {
        (value, kept): {} for value in params.temperatures for kept in top_k
    }
    for group in bucketed(utterances, params.batch_seconds / composer.frame):
        batch = composer.batch(group)
        plain = model.encoder(batch.features, batch.frames)
        for (value, kept), found in right.items():
            with temperature(model, value, slot), sparse(model, slot, top_k=kept):
                again = slot == "encoder"
                heard = model.encoder(batch.features, batch.frames) if again else plain
                counts = recalled(model, composer, batch, heard.audio, heard.mask)
            found |= {id(u): count.right for u, count in zip(group, counts, strict=True)}
    return {
        condition: "".join(str(found[id(u)]) for u in utterances)
        for condition, found in right.items()
    }


if __name__ == "__main__":
    run(main)
