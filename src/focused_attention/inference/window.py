"""A window imposed on trained self-attention: what is far away is hidden."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from focused_attention.inference import edited
from focused_attention.models import SpeechModel


def near(weights: Tensor, width: int) -> Tensor:
    """Rows (B, H, T, S) with what is farther than `width` positions away zero, summing to one.

    Dividing by what is left is what a softmax over the window alone does. A row that has nothing
    inside stays zero.

    >>> near(torch.full((1, 1, 4, 4), 0.25), 0)[0, 0].diag()
    tensor([1., 1., 1., 1.])
    """
    T, S = weights.shape[-2:]
    keys = torch.arange(S, device=weights.device)
    inside = weights * ((keys[S - T :, None] - keys).abs() <= width)
    return inside / inside.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


@contextmanager
def window(model: SpeechModel, *slots: str, width: int) -> Iterator[SpeechModel]:
    """Hide from every query of `slots` the keys more than `width` positions away.

    Raises ValueError for cross-attention, whose two sequences share no positions, or a negative
    width, and UnsuitedError for a mechanism whose rows of weights cannot be changed.
    """
    if "cross" in slots:
        raise ValueError("window: expected slots of self-attention, given cross")
    if width < 0:
        raise ValueError(f"width: expected zero or more, given {width}")
    with edited(model, slots, lambda rows: near(rows, width)):
        yield model
