"""What is done to the attention of a trained model, without training it again.

A slot is a place in the model: `encoder` self-attention (focus blocks included), `decoder`
self-attention or `cross`-attention. Every intervention is a context manager that leaves the model
as it was; the neutral one changes nothing at all, so its outputs are the same to the bit.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch
from torch import Tensor, nn

from focused_attention.attention import Mechanism
from focused_attention.attention.base import Core, MultiHeadAttention
from focused_attention.attention.softmax.adaptive_span_published import AdaptiveSpanAttention
from focused_attention.models import SpeechModel

SLOTS = ("encoder", "decoder", "cross")


class UnsuitedError(ValueError):
    """A mechanism to which an intervention cannot be made: which, and what it lacks."""


def refusal(intervention: AbstractContextManager) -> str | None:
    """Why an intervention cannot be made; None if it can.

    >>> from focused_attention.models import build
    >>> sizes = dict(n_audio_ctx=9, n_audio_state=8, n_audio_head=2, n_audio_layer=1, n_text_ctx=9,
    ...     n_text_state=8, n_text_head=2, n_text_layer=1)
    >>> echo = build("echo", n_mels=4, n_vocab=9, focus="mixture_autoregressive", **sizes)
    >>> refusal(temperature(echo, 0.5, "encoder"))
    'MixtureAutoregressive has no query projection to scale'
    >>> refusal(temperature(echo, 0.5, "cross"))
    """
    try:
        with intervention:
            return None
    except UnsuitedError as error:
        return str(error)


def attentions(model: SpeechModel, slot: str) -> list[Mechanism]:
    """The attention layers of a slot, from the first block to the last.

    Raises ValueError for an unknown slot.
    """
    match slot:
        case "encoder":
            return [block.attn for block in model.encoder.blocks]
        case "decoder":
            return [block.attn for block in model.decoder.blocks]
        case "cross":
            return [block.cross_attn for block in model.decoder.blocks]
    raise ValueError(f"slot: expected one of {', '.join(SLOTS)}, given {slot!r}")


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


class SparseCore(Core):
    """A core whose rows keep their largest weights alone, and are divided by what is left."""

    def __init__(self, core: Core, top_k: int | None, mass: float | None):
        super().__init__()
        self.core, self.top_k, self.mass = core, top_k, mass
        self.position, self.visible = core.position, core.visible

    def forward(self, q, k, v, mask, need_weights):
        _, weights = self.core(q, k, v, mask, True)
        weights = keep_largest(weights, top_k=self.top_k, mass=self.mass)
        return weights @ v, weights if need_weights else None


def keep_largest(weights: Tensor, *, top_k: int | None = None, mass: float | None = None) -> Tensor:
    """Rows (..., S) with all but their largest weights zero, summing to what they summed to.

    Kept are the `top_k` largest, or the fewest whose sum reaches the share `mass` of the row.

    >>> keep_largest(torch.tensor([0.5, 0.3, 0.2]), top_k=1)
    tensor([1., 0., 0.])
    >>> keep_largest(torch.tensor([0.5, 0.3, 0.2]), mass=0.75)
    tensor([0.6250, 0.3750, 0.0000])
    """
    if (top_k is None) == (mass is None):
        raise ValueError(f"expected either top_k or mass, given {top_k} and {mass}")
    total = weights.sum(dim=-1, keepdim=True)
    if top_k is not None:
        kept, places = weights.topk(min(top_k, weights.shape[-1]), dim=-1)
    else:
        kept, places = weights.sort(dim=-1, descending=True)
        before = kept.cumsum(dim=-1) - kept
        kept = kept.masked_fill(before >= mass * total, 0.0)
    kept = kept * (total / kept.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny))
    return torch.zeros_like(weights).scatter(-1, places, kept)


@contextmanager
def sparse(
    model: SpeechModel, *slots: str, top_k: int | None = None, mass: float | None = None
) -> Iterator[None]:
    """Drop all but the largest attention weights of `slots`, see `keep_largest`.

    Neither `top_k` nor `mass`: nothing is dropped. Raises UnsuitedError for a mechanism that does
    more than combine queries, keys and values.
    """
    changed: list[tuple[MultiHeadAttention, Core]] = []
    try:
        if top_k is not None or mass is not None:
            for slot in slots:
                for layer in attentions(model, slot):
                    if not isinstance(layer, MultiHeadAttention):
                        raise UnsuitedError(f"{type(layer).__name__} has no weights to drop")
                    changed.append((layer, layer.core))
                    layer.core = SparseCore(layer.core, top_k, mass)
        yield
    finally:
        for layer, core in changed:
            layer.core = core


def quantised(model: SpeechModel) -> SpeechModel:
    """A copy whose linear layers multiply in int8: weights per tensor, activations as they come.

    PyTorch's dynamic quantisation, on the CPU. A mechanism that owns its forward may read the
    weights of its layers, which then are no tensors, so it stays as it is.
    """
    own = tuple(
        f"{name}."
        for name, module in model.named_modules()
        if isinstance(module, Mechanism) and not isinstance(module, MultiHeadAttention)
    )
    linear = {
        name
        for name, module in model.named_modules()
        if type(module) is nn.Linear and not name.startswith(own)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated; its successor is a package of its own
        return torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model).cpu(), linear, dtype=torch.qint8
        )
