"""Stage guess: whether a trained arm answers with a digit at all, at every temperature.

Values are digits, so whoever answers with any digit is right one in ten times. A model whose
attention is too soft may write something else, and a temperature that brings digits back brings
back guesses with them. Asked of recall at its longest, in cross-attention.
"""

import torch

from focused_attention import results
from focused_attention.errors import run
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.answers import recalled
from focused_attention.paths import RESULTS
from focused_attention.runs import device, seeking
from focused_attention.tasks.utterances import DIGITS


@torch.inference_mode()
def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    model, params, composer = work.trained(), work.params.sweep, work.composer
    hay = max(params.words)
    utterances = haystacks.evaluation("recall", "test", params.pairs, hay, params.utterances)
    begun = torch.tensor(sorted({composer.store.tokenizer.encode(d)[0] for d in DIGITS}))
    found: dict[float, dict[int, tuple[int, int]]] = {value: {} for value in params.temperatures}
    for batch in work.batches(utterances, params.batch_seconds):
        starts = torch.tensor([len(composer.prefix(u)) - 1 for u in batch.utterances])
        with device.autocast(work.hardware):
            audio, mask, *_ = model.encoder(batch.features, batch.frames)
            for value, answers in found.items():
                with temperature(model, value, "cross"):
                    right = recalled(model, composer, batch, audio, mask)
                    tokens = batch.tokens[:, : int(starts.max()) + 1]
                    likeliest = model.decoder(tokens, audio, mask).logits.argmax(dim=-1).cpu()
                first = likeliest[torch.arange(len(starts)), starts]
                digit = torch.isin(first, begun).int().tolist()
                for u, count, is_digit in zip(batch.utterances, right, digit, strict=True):
                    answers[id(u)] = (count.right, is_digit)
    rows = [
        {"needles": params.pairs, "hay": hay, "temperature": value, "utterances": len(utterances)}
        | {
            name: "".join(str(answers[id(u)][column]) for u in utterances)
            for column, name in enumerate(("right", "digit"))
        }
        for value, answers in found.items()
    ]
    results.write_csv(RESULTS / work.params.profile / "guess" / f"{work.run}.csv", rows)


if __name__ == "__main__":
    run(main)
