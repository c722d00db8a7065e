"""Sparse attention: all but the largest weights of every row dropped."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from focused_attention.inference import edited
from focused_attention.models import SpeechModel


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
def topk(
    model: SpeechModel, *slots: str, top_k: int | None = None, mass: float | None = None
) -> Iterator[SpeechModel]:
    """Drop all but the largest attention weights of `slots`, see `keep_largest`.

    Neither `top_k` nor `mass`: nothing is dropped. Raises UnsuitedError for a mechanism whose rows
    of weights cannot be changed.
    """
    if top_k is None and mass is None:
        yield model
        return
    with edited(model, slots, partial(keep_largest, top_k=top_k, mass=mass)):
        yield model
