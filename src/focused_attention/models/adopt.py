"""A model that starts from the trained weights of another one."""

import torch
from torch import nn

from focused_attention.attention import Mechanism, UnsuitedError
from focused_attention.models.skeleton import SpeechModel


@torch.no_grad()
def adopt(model: SpeechModel, source: SpeechModel) -> SpeechModel:
    """Take over the weights of `source`, every attention layer as its mechanism adopts the other's.

    Layers stand where they stand in the source: Echo's focus blocks are the first of its encoder.
    Raises UnsuitedError for layers or weights that one of them has and the other has not, or of
    other shapes.
    """
    own, others = attentions(model), attentions(source)
    if own.keys() != others.keys():
        name = min(own.keys() ^ others.keys())
        raise UnsuitedError(f"{name} is an attention layer of one model and not of the other")
    for name, layer in own.items():
        try:
            layer.adopt(others[name])
        except UnsuitedError as error:
            raise UnsuitedError(f"{name}: {error}") from None
    ours, theirs = outside(model, own), outside(source, others)
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape:
            shapes = [tuple(t[name].shape) if name in t else None for t in (ours, theirs)]
            raise UnsuitedError(f"{name}: expected {shapes[0]} as in the model, given {shapes[1]}")
        ours[name].copy_(theirs[name])
    return model


def attentions(model: nn.Module) -> dict[str, Mechanism]:
    """Every attention layer by its name; those inside another are its own matter."""
    found: dict[str, Mechanism] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in found)
        if isinstance(module, Mechanism) and not inside:
            found[name] = module
    return found


def outside(model: nn.Module, layers: dict[str, Mechanism]) -> dict[str, torch.Tensor]:
    """The weights that are in none of the layers."""
    prefixes = tuple(f"{name}." for name in layers)
    return {n: t for n, t in model.state_dict().items() if not n.startswith(prefixes)}
