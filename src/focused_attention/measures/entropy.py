"""How sharp attention is in haystacks, and where it looks.

Attention maps are measured batch by batch and dropped: what is kept are sums per layer and head
and, of cross-attention, how close to uniform it is in every recording. Beside them stand the
temperatures that the arm has learned, if it learns any.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from focused_attention import measuring
from focused_attention.inference.temperature import temperature
from focused_attention.measures import Measure, Shown, recalled, tempered, weighted
from focused_attention.metrics import learned
from focused_attention.metrics.alignment import Alignment
from focused_attention.metrics.by_head import Sharpness
from focused_attention.metrics.sharpness import mean_distance, normalised_entropy
from focused_attention.models.skeleton import ModelOutput
from focused_attention.runs.hearing import Heard, Recordings

Settings = measuring.Entropy
HEATED = ("encoder", "cross")  # together
RECORDINGS = ("filler", "hay", "temperature", "normalised_entropy")  # of cross-attention, in each


class Entropy(Measure):
    requires = (weighted(*HEATED),)
    shown = Shown(
        by=("filler", "hay", "temperature", "slot"),
        value="mean",
        figure={"temperature": (1.0,), "metric": ("normalised_entropy", "segment_mass")},
    )

    def setup(self) -> None:
        hidden = {slot: weighted(slot)(self.subject) for slot in HEATED}
        self.lacking |= {slot: why for slot, why in hidden.items() if why}
        self.temperatures = self.settings.temperatures
        if why := tempered(*HEATED)(self.subject):
            self.temperatures = [value for value in self.temperatures if value == 1]
            self.lacking["temperatures other than 1"] = why
        self.layers: dict[tuple[Recordings, float], dict] = {}
        self.uniform: dict[tuple[Recordings, float], dict[int, float]] = {}

    def recordings(self) -> Iterable[Recordings]:
        of = self.settings
        counts = {"utterances": of.utterances, "batch_seconds": of.batch_seconds}
        for words in of.words:
            for filler in of.fillers:
                yield recalled(self.subject.work.params.recall, words, filler, **counts)

    def hear(self, asked: Recordings, heard: Heard) -> None:
        model, batch = heard.model, heard.batch
        start, end = (
            edge.to(batch.features.device) / model.downsampling
            for edge in self.subject.haystacks.sources(batch)
        )
        for value in self.temperatures:
            with temperature(model, value, *HEATED):
                output = model(batch.features, batch.tokens, batch.frames, need_weights=True)
            layers = self.layers.setdefault((asked, value), {})
            self.add(layers, output, batch.targets != -100, start, end)
            if values := uniformity(output, batch.targets != -100):
                known = self.uniform.setdefault((asked, value), {})
                known |= {id(u): v for u, v in zip(batch.utterances, values, strict=True)}

    def add(
        self, layers: dict, output: ModelOutput, asked: Tensor, start: Tensor, end: Tensor
    ) -> None:
        """Measure the weights of every layer, by its slot and place."""
        position = self.subject.work.composer.frame * self.subject.model.downsampling  # seconds
        for layer, weights in shown(output.encoder_weights):
            sharpness = layers.setdefault(("encoder", layer), Sharpness())
            add_some(sharpness, weights, output.mask, self.settings.encoder_every)
        for layer, weights in shown(output.weights):
            layers.setdefault(("cross", layer), Sharpness()).update(weights, asked, output.mask)
            alignment = layers.setdefault(
                ("cross alignment", layer), Alignment(seconds_per_position=position)
            )
            alignment.update(weights, start, end)

    def rows(self) -> list[dict]:
        return [
            asked.about
            | {"seconds": self.seconds(asked)}
            | {"temperature": value, "slot": slot.removesuffix(" alignment"), "layer": layer}
            | row
            for asked in self.recordings()
            for value in self.temperatures
            for (slot, layer), measured in self.layers[asked, value].items()
            for row in measured.rows()
        ]

    def more(self) -> dict:
        work = self.subject.work
        state = self.subject.model.state_dict()
        weights = {name: tensor.cpu().numpy() for name, tensor in state.items()}
        found = learned.temperatures(work.arm["arm"], work.seed, weights)
        each = [
            {"filler": asked.about["filler"], "hay": asked.about["hay"], "temperature": value}
            | {RECORDINGS[-1]: " ".join(f"{of[id(u)]:.6g}" for u in self.utterances[asked])}
            for (asked, value), of in self.uniform.items()
        ]
        return {"-temperatures": (found, learned.COLUMNS), "-recordings": (each, RECORDINGS)}


def shown(layers: list[Tensor | None]) -> list[tuple[int, Tensor]]:
    """Every layer's place and weights; those of a mechanism without weights are left out."""
    return [(layer, weights) for layer, weights in enumerate(layers) if weights is not None]


def uniformity(output: ModelOutput, asked: Tensor) -> list[float]:
    """Entropy over log n of cross-attention in every recording: a mean over its rows and heads.

    `asked` (B, T) are the rows that count. Empty if no layer has weights to show.
    """
    seen = asked[:, None, :, None]
    if output.mask is not None:
        seen = seen & output.mask[:, None, None]
    layers = [normalised_entropy(weights, seen) for _, weights in shown(output.weights)]
    return torch.stack(layers).nanmean(dim=(0, 2, 3)).tolist() if layers else []


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
