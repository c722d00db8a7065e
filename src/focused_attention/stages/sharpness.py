"""Stage sharpness: how sharp the focus blocks of one varied arm attend, and what they multiply.

Of every test utterance of words the entropy over log n and the effective support, each a mean over
the rows, heads and focus blocks. They are written beside what stage evaluate writes. An arm whose
rows of weights cannot be shown, or do not sum to one, has no rows there, and the JSON says why.
"""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from focused_attention import results
from focused_attention.attention import Mechanism
from focused_attention.errors import run
from focused_attention.metrics.sharpness import effective_support, normalise, normalised_entropy
from focused_attention.paths import RESULTS
from focused_attention.runs import session
from focused_attention.runs.hearing import Heard, hear

COLUMNS = ("id", "entropy", "support")
LENGTHS = (140, 1500)  # positions: of the longest utterance of training, and of Whisper's 30 s


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv)
    model, params = work.trained(), work.params.evaluate
    blocks = model.encoder.blocks[: work.arm["sizes"].get("focus_blocks", 0)]
    note = lacking([block.attn for block in blocks])
    utterances = work.composer.evaluation("words", "test", params.utterances.get("words"))
    found: dict[str, dict[str, float]] = {}

    def look(heard: Heard) -> None:
        batch = heard.batch
        encoded = model.encoder(batch.features, batch.frames, need_weights=True)
        each = measured(torch.stack(encoded.weights[: len(blocks)]), encoded.mask)
        for place, utterance in enumerate(batch.utterances):
            found[utterance.id] = {name: float(of[place]) for name, of in each.items()}

    if not note:
        hear(work, model, utterances, params.batch_seconds, [look])
    cost = {
        str(length): sum(multiplications(block.attn, length) for block in blocks)
        for length in LENGTHS
    }
    folder = RESULTS / work.params.profile / "evaluate"
    rows = [{"id": u.id} | found[u.id] for u in utterances if u.id in found]
    results.write_csv(folder / f"{work.run}-sharpness.csv", rows, COLUMNS)
    told = {"note": note, "multiplications": cost}
    about = work.provenance("test", "sharpness")
    results.write_json(folder / f"{work.run}-sharpness.json", about | told)


def lacking(layers: list[Mechanism]) -> str:
    """Why the layers have no sharpness; empty if they have."""
    for layer in layers:
        if not layer.weighted:
            return "it has no weights to show"
        if not layer.normalised:
            return "its rows do not sum to one"
    return "" if layers else "no focus blocks"


def measured(weights: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
    """Means (B,) over layers, heads and rows: weights (layers, B, H, T, T), mask (B, T)."""
    visible = None if mask is None else (mask[:, :, None] & mask[:, None])[:, None]
    rows = normalise(weights, visible)
    of = {"entropy": normalised_entropy(rows), "support": effective_support(rows)}
    return {name: values.nanmean(dim=(0, 2, 3)) for name, values in of.items()}


@torch.inference_mode()
def multiplications(layer: Mechanism, length: int) -> int:
    """Those in the matrix products of one forward of a layer over one sequence of `length`.

    Counted are those that are made: the narrow heads of fused attention are padded to 16 columns.

    >>> from focused_attention.attention import build
    >>> multiplications(build("whisper", dims=32, heads=2), 10)  # 4 T D² + 2 T² D
    47360
    """
    layer.requires_grad_(requires_grad=False)  # the counter follows what does
    x = torch.randn(1, length, layer.dims, generator=torch.Generator().manual_seed(0))
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:  # in which the products can be counted
        layer(x.to(next(layer.parameters()).device))
    return counter.get_total_flops() // 2  # a multiplication and an addition are two


if __name__ == "__main__":
    run(main)
