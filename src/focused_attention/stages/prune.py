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
    rough = quantised(model)
    rows = []
    for hay in params.words:
        utterances = haystacks.evaluation("recall", "test", params.pairs, hay, params.utterances)
        about = {"needles": params.pairs, "hay": hay, "utterances": len(utterances)}
        for value in params.temperatures:
            for slot in params.slots:
                for kept in (*params.top_k, None):
                    with temperature(model, value, slot), sparse(model, slot, top_k=kept):
                        right = answered(work, model, utterances)
                    rows.append(
                        about | {"temperature": value, "slot": slot, "int8": False}
                        | {"top_k": kept or "", "right": right}
                    )  # fmt: skip
                with temperature(rough, value, slot):
                    right = answered(work, rough, utterances)
                rows.append(
                    about | {"temperature": value, "slot": slot, "int8": True}
                    | {"top_k": "", "right": right}
                )  # fmt: skip
    results.write_csv(RESULTS / work.params.profile / "prune" / f"{work.run}.csv", rows)


@torch.inference_mode()
def answered(work: Session, model: SpeechModel, utterances: list[Utterance]) -> str:
    """A one for every utterance whose value is recalled, a nought for the others, in order."""
    composer, right = work.composer, {}
    for group in bucketed(utterances, work.params.prune.batch_seconds / composer.frame):
        batch = composer.batch(group)
        audio, mask, *_ = model.encoder(batch.features, batch.frames)
        counts = recalled(model, composer, batch, audio, mask)
        right |= {id(u): count.right for u, count in zip(group, counts, strict=True)}
    return "".join(str(right[id(u)]) for u in utterances)


if __name__ == "__main__":
    run(main)
