"""What every regulariser shares: its two hooks, how a loss is added, how attention is looked at.

Shape alphabet: B batch, T query length, S key length, H heads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from focused_attention.errors import UserError
from focused_attention.models import SpeechModel
from focused_attention.params import Train
from focused_attention.tasks.batches import Batch

Losses = dict[str, Tensor]  # scalars: "loss", what is minimised, and its parts by name
Objective = Callable[[SpeechModel, Batch, Train], Losses]
Slot = Literal["encoder", "decoder", "cross"]
SLOTS = get_args(Slot)


class Regulariser:
    """Built from its `Config`; does nothing until it overrides one of its two hooks."""

    def __init__(self, config):
        self.config = config

    def prepare(self, model: SpeechModel) -> None:
        """Change the untrained model in place, once, before its optimiser is made.

        What is re-parametrised here is so in the saved weights too, and again where they are
        loaded.
        """

    def wrap(self, objective: Objective) -> Objective:
        """The objective with this regulariser's losses; see `added`."""
        return objective


def added(parts: Losses, name: str, value: Tensor, weight: float) -> Losses:
    """The losses with one more: `weight` times it in the sum, its own value under its name.

    Raises ValueError for a name that another loss has.
    """
    if name in parts:
        raise ValueError(f"loss {name!r} is there already; give the regulariser's another name")
    return parts | {"loss": parts["loss"] + weight * value, name: value}


class Attention(NamedTuple):
    """The attention of one layer in one forward."""

    weights: Tensor  # (B, H, T, S)
    visible: Tensor  # (B or 1, 1, T or 1, S) bool: keys that are no padding and not to come
    rows: Tensor  # (B, T) bool: queries that are no padding; of a decoder, that are asked for


@contextmanager
def shown(model: SpeechModel, batch: Batch, slot: Slot) -> Iterator[list[Attention]]:
    """The attention of a slot's layers, which fills the list when the model runs inside.

    The part of the model that holds the slot, its encoder or its decoder, is asked for weights, and
    the other is not. Layers whose mechanism has none to show are left out; raises UserError
    afterwards if none of them has any.
    """
    layers: list[Attention] = []
    part = model.encoder if slot == "encoder" else model.decoder

    def ask(_, args, kwargs):
        return args, kwargs | {"need_weights": True}

    def note(_, args, kwargs, output):
        asked = batch.targets != -100
        if slot == "encoder":
            weights, keys = output.weights, output.mask
        else:
            keys = kwargs.get("mask", args[2] if len(args) > 2 else None)
            weights = output.weights if slot == "cross" else output.self_weights
        for layer in (one for one in weights if one is not None):
            *_, T, S = layer.shape
            device = layer.device
            if slot == "decoder":
                visible = torch.ones(T, S, dtype=torch.bool, device=device).tril()[None, None]
            elif keys is None:
                visible = torch.ones(1, 1, 1, S, dtype=torch.bool, device=device)
            else:
                visible = keys[:, None, None]
            rows = visible[:, 0, 0].expand(len(layer), S) if slot == "encoder" else asked
            layers.append(Attention(layer, visible, rows))

    handles = [
        part.register_forward_pre_hook(ask, with_kwargs=True),
        part.register_forward_hook(note, with_kwargs=True),
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()
    if not layers:
        raise UserError(
            f"params.yaml: regularisers: no mechanism of slot {slot!r} has weights to show; "
            "name another slot"
        )
