"""Sparse attention: all but the largest weights of every row dropped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from focused_attention.attention.base import Core, MultiHeadAttention
from focused_attention.inference import UnsuitedError, attentions
from focused_attention.models import SpeechModel


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
