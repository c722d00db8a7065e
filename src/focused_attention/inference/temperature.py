"""Sharper or softer heads: the temperature of trained attention, multiplied."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from focused_attention.attention.softmax.adaptive_span_published import AdaptiveSpanAttention
from focused_attention.inference import UnsuitedError, attentions
from focused_attention.models import SpeechModel


@contextmanager
def temperature(model: SpeechModel, value: float, *slots: str) -> Iterator[None]:
    """Multiply the temperature of every head of `slots`: below 1 sharper, above 1 softer.

    Queries are divided by the value where they are projected, so in focused cross-attention the
    place that the span lies around moves with them; the published local branch, which projects
    none, has its own temperature multiplied.

    Raises ValueError for a value that is not positive and UnsuitedError for a mechanism without
    either.
    """
    if not value > 0:
        raise ValueError(f"temperature: expected a positive number, given {value}")
    with ExitStack() as stack:
        if value != 1:
            for slot in slots:
                for layer in attentions(model, slot):
                    heat(layer, value, stack)
        yield


def heat(layer: nn.Module, value: float, stack: ExitStack) -> None:
    """Multiply the temperature of one attention layer until `stack` unwinds."""
    projections = [m for name, m in layer.named_modules() if name.rpartition(".")[2] == "query"]
    branches = [m for m in layer.modules() if isinstance(m, AdaptiveSpanAttention)]
    if not projections and not branches:
        raise UnsuitedError(f"{type(layer).__name__} has no query projection to scale")
    for projection in projections:
        handle = projection.register_forward_hook(lambda module, args, out: out / value)
        stack.callback(handle.remove)
    for branch in branches:
        published = branch.temperature
        branch.temperature = lambda scale, published=published: value * published(scale)
        stack.callback(delattr, branch, "temperature")
