"""A small device's arithmetic: linear layers in int8."""

import copy
import warnings

import torch
from torch import nn

from focused_attention.attention import Mechanism
from focused_attention.attention.base import MultiHeadAttention
from focused_attention.models import SpeechModel


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
