"""What the focus of a model does while it trains: spans, temperatures, the predictor's gradient."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from focused_attention.attention import Mechanism


@contextmanager
def focus(model: nn.Module) -> Iterator[Callable[[], dict[str, float]]]:
    """Watch the forward of a training step; what is yielded tells of it after backward.

    It tells the mean span (encoder positions) and temperature, and where spans are predicted the
    gradient norm of their predictors: nothing where no mechanism of the model has spans.
    """
    with watch(model) as heads:
        yield lambda: summary(model, heads)


def summary(model: nn.Module, heads: list[dict]) -> dict[str, float]:
    """What `focus` tells of the rows of `watch`."""
    if not heads:
        return {}
    means = {
        name: sum(head[name] for head in heads) / len(heads) for name in ("span", "temperature")
    }
    norms = predictor_gradient_norms(model)
    return means | ({"predictor_grad_norm": math.hypot(*norms.values())} if norms else {})


@contextmanager
def watch(model: nn.Module) -> Iterator[list[dict]]:
    """Record spans and temperatures of every mechanism that has `spans`, while the model runs.

    Yields a list that fills with one row a layer and head, {layer, head, span, temperature}: means
    over the items and queries of the forwards inside, span in frames; a given one is the number of
    keys that are seen. The forward itself is not changed; each costs one more projection.

    >>> from focused_attention.attention import build
    >>> model = nn.ModuleDict({"focus": build("focused", dims=32, heads=2)})
    >>> with watch(model) as rows:
    ...     _ = model["focus"](torch.randn(1, 20, 32))
    >>> [(row["layer"], row["head"]) for row in rows]
    [('focus', 0), ('focus', 1)]
    """
    rows: list[dict] = []

    def record(layer: str):
        def hook(module, args, kwargs):
            inputs = dict(zip(("x", "xa", "mask"), args, strict=False)) | kwargs
            known = {name: inputs.get(name) for name in ("x", "xa", "mask")}
            with torch.no_grad():
                spans = module.spans(**known)
            means = (t.float().mean(dim=(0, 2)).tolist() for t in spans)
            for head, (span, temperature) in enumerate(zip(*means, strict=True)):
                rows.append(
                    {"layer": layer, "head": head, "span": span, "temperature": temperature}
                )

        return hook

    handles = [
        module.register_forward_pre_hook(record(name), with_kwargs=True)
        for name, module in focused_layers(model)
    ]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def focused_layers(model: nn.Module) -> Iterator[tuple[str, Mechanism]]:
    """The mechanisms that have spans, predicted or given, by name."""
    for name, module in model.named_modules():
        if isinstance(module, Mechanism) and hasattr(module, "spans"):
            yield name, module


def predictor_gradient_norms(model: nn.Module) -> dict[str, float]:
    """Gradient norm of every span predictor, by layer; zero where no gradient arrived.

    Call it between `backward` and `zero_grad`.
    """
    norms = {}
    for name, layer in focused_layers(model):
        predictors = [
            module
            for path, module in layer.named_modules()
            if path.rpartition(".")[2] in ("predictor", "span_pred")
        ]
        if not predictors:
            continue
        grads = [p.grad for module in predictors for p in module.parameters()]
        squares = [float(grad.square().sum()) for grad in grads if grad is not None]
        norms[name] = sum(squares) ** 0.5
    return norms
