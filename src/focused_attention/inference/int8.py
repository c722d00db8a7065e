"""A small device's arithmetic: linear layers in int8."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from focused_attention.attention import Mechanism
from focused_attention.models import SpeechModel

PROJECTIONS = ("query", "key", "value", "out")


@contextmanager
def int8(model: SpeechModel) -> Iterator[SpeechModel]:
    """A copy whose linear layers multiply in int8: weights per tensor, activations as they come.

    PyTorch's dynamic quantisation, on the CPU. What a mechanism owns beside the shared projections
    stays as it is: it may read the weights of its layers, which then are no tensors.
    """
    own = {
        f"{name}.{inner}"
        for name, module in model.named_modules()
        if isinstance(module, Mechanism)
        for inner, _ in module.named_modules()
        if not (module.projected and inner in PROJECTIONS)
    }
    linear = {
        name
        for name, module in model.named_modules()
        if type(module) is nn.Linear and name not in own
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated; its successor is a package of its own
        yield torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model).cpu(), linear, dtype=torch.qint8
        )
