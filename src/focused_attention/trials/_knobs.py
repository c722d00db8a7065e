"""What an encoder's mechanisms decide for themselves: spans, temperatures, and their local half.

Shape alphabet: B recordings, H heads, D width, F feature frames; R is 1, or the number of queries.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from focused_attention.attention import Mechanism
from focused_attention.inference import attentions
from focused_attention.models import SpeechModel


@torch.inference_mode()
def knobs(model: SpeechModel, heard: Iterable[Tensor]) -> dict[str, list[float]]:
    """Mean spans (positions) and temperatures of every layer and its heads, over what is heard
    (1, n_mels, F), and of every layer with two branches how large the local half of the matrix that
    joins them is beside the global half.

    Empty for a mechanism that has none.
    """
    layers = attentions(model, "encoder")
    seen: list[list] = [[] for _ in layers]
    hooks = [
        layer.register_forward_pre_hook(lambda at, args, of=of: of.append(at.spans(args[0])))
        for layer, of in zip(layers, seen, strict=True)
        if hasattr(layer, "spans")
    ]
    try:
        for mel in heard if hooks else ():
            model.encoder(mel)
    finally:
        for hook in hooks:
            hook.remove()
    found = {
        name: [value for of in seen if of for value in average(of, place)]
        for place, name in enumerate(("spans", "temperatures"))
    }
    return found | {"local": [share for layer in layers for share in local_share(layer)]}


def new_weights(model: SpeechModel, source: SpeechModel) -> list[Tensor]:
    """What a model has beyond the one whose weights it took over: its other parameters, and the
    local halves of the encoder's joining matrices. Changing them changes the model."""
    known = dict(source.named_parameters())
    own = [weight.detach() for name, weight in model.named_parameters() if name not in known]
    joined = (layer.out for layer in attentions(model, "encoder") if layer.branches == 2)
    return own + [out.weight.detach().chunk(2, dim=1)[0] for out in joined]


def average(seen: Sequence[Sequence[Tensor]], place: int) -> list[float]:
    """The mean over recordings and queries of one field of their spans (B, H, R), by head."""
    return torch.cat([of[place].mean(dim=-1) for of in seen]).mean(dim=0).tolist()


def local_share(layer: Mechanism) -> list[float]:
    """Norm of the local half of the joining matrix (D, 2 D) over that of the global half, if the
    layer has two branches."""
    joined = getattr(getattr(layer, "hybrid", layer), "projection", getattr(layer, "out", None))
    if joined is None or joined.in_features == joined.out_features:
        return []
    near, far = joined.weight.chunk(2, dim=1)
    return [(near.norm() / far.norm()).item()]
