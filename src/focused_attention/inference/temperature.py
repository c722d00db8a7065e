"""Sharper or softer heads: the temperature of trained attention, multiplied."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from focused_attention.inference import attentions
from focused_attention.models import SpeechModel


@contextmanager
def temperature(
    model: SpeechModel, value: float | Tensor, *slots: str, layers: list[int] | None = None
) -> Iterator[SpeechModel]:
    """Multiply the temperature of the heads of `slots`: below 1 sharper, above 1 softer.

    The value is one for all heads or, (H,), one for each; `layers` are the places of those that are
    changed, all by default. Queries are divided by it where they are projected, so in focused
    cross-attention the place that the span lies around moves with them; the published local branch,
    which projects none, has its own temperature multiplied.

    Raises ValueError for a value that is not positive and UnsuitedError for a mechanism that has no
    temperature.
    """
    chosen = [
        layer
        for slot in slots
        for place, layer in enumerate(attentions(model, slot))
        if layers is None or place in layers
    ]
    before = [layer.temperature for layer in chosen]
    try:
        for layer, own in zip(chosen, before, strict=True):
            layer.temperature = own * value
        yield model
    finally:
        for layer, own in zip(chosen, before, strict=True):
            layer.temperature = own
