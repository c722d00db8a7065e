"""Stage entropy: how sharp a trained arm's attention is in haystacks, and where it looks.

Attention maps are measured batch by batch and dropped: what is kept are sums per layer and head.
Beside them stand the temperatures that the arm has learned, if it learns any.
"""

import logging

import torch
from torch import Tensor

from focused_attention import results
from focused_attention.errors import run
from focused_attention.inference import refusal
from focused_attention.inference.temperature import temperature
from focused_attention.metrics import learned
from focused_attention.metrics.alignment import Alignment
from focused_attention.metrics.by_head import Sharpness
from focused_attention.metrics.sharpness import mean_distance
from focused_attention.paths import RESULTS
from focused_attention.runs import device, seeking
from focused_attention.runs.session import Session
from focused_attention.tasks.haystack import HaystackComposer
from focused_attention.tasks.utterances import Utterance

HEATED = ("encoder", "cross")  # together
COLUMNS = (
    "needles", "hay", "seconds", "temperature", "slot", "layer", "head", "metric", "mean", "std",
    "rows",
)  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    params, composer = work.params.entropy, work.composer
    model = work.trained()
    values = params.temperatures
    if why := refusal(temperature(model, 0.5, *HEATED)):
        values = [value for value in values if value == 1]
        logging.warning("entropy %s: at temperature 1 alone, because %s", work.run, why)
    rows = []
    for hay in params.words:
        utterances = haystacks.evaluation("recall", "test", params.pairs, hay, params.utterances)
        seconds = sum(u.frames for u in utterances) / len(utterances) * composer.frame
        for value in values:
            with temperature(model, value, *HEATED):
                measured = measure(work, model, haystacks, utterances)
            about = {"needles": params.pairs, "hay": hay, "seconds": round(seconds, 3)}
            rows += [about | {"temperature": value} | row for row in measured]
    folder = RESULTS / work.params.profile / "entropy"
    results.write_csv(folder / f"{work.run}.csv", rows, COLUMNS)
    weights = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
    results.write_csv(
        folder / f"{work.run}-temperatures.csv",
        learned.temperatures(work.arm["arm"], work.seed, weights),
        learned.COLUMNS,
    )


@torch.inference_mode()
def measure(
    work: Session, model, haystacks: HaystackComposer, utterances: list[Utterance]
) -> list[dict]:
    """A row for every slot, layer, head and metric."""
    composer, layers = work.composer, {}
    position = composer.frame * model.downsampling  # seconds
    for batch in work.batches(utterances, work.params.entropy.batch_seconds):
        start, end = (
            edge.to(work.hardware) / model.downsampling for edge in haystacks.sources(batch)
        )
        with device.autocast(work.hardware):
            output = model(batch.features, batch.tokens, batch.frames, need_weights=True)
        for layer, weights in shown(output.encoder_weights):
            sharpness = layers.setdefault(("encoder", layer), Sharpness())
            add_some(sharpness, weights, output.mask, work.params.entropy.encoder_every)
        asked = batch.targets != -100
        for layer, weights in shown(output.weights):
            layers.setdefault(("cross", layer), Sharpness()).update(weights, asked, output.mask)
            alignment = layers.setdefault(
                ("cross alignment", layer), Alignment(seconds_per_position=position)
            )
            alignment.update(weights, start, end)
    return [
        {"slot": slot.removesuffix(" alignment"), "layer": layer} | row
        for (slot, layer), measured in layers.items()
        for row in measured.rows()
    ]


def shown(layers: list[Tensor | None]) -> list[tuple[int, Tensor]]:
    """Every layer's place and weights; those of a mechanism without weights are left out."""
    return [(layer, weights) for layer, weights in enumerate(layers) if weights is not None]


def add_some(sharpness: Sharpness, weights: Tensor, mask: Tensor | None, every: int) -> None:
    """Add one in `every` of the rows of self-attention (B, H, T, T), and how far they look."""
    positions = torch.arange(weights.shape[-1], device=weights.device)
    queries = positions[::every]
    weights = weights[:, :, queries]
    rows = None if mask is None else mask[:, queries]
    sharpness.update(weights, rows, mask)
    visible = None if mask is None else (rows[:, :, None] & mask[:, None])[:, None]
    distance = mean_distance(weights, visible, queries=queries, keys=positions)
    sharpness.moments.add("mean_distance", distance)


if __name__ == "__main__":
    run(main)
