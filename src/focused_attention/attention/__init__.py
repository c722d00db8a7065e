"""Attention mechanisms, one file each; the registry is the folder listing.

The file name is the registry key, the key in params.yaml and the name in every table. A file holds
its keyword-only dataclass `Config` and one subclass of `Mechanism`, and nothing else.
"""

import dataclasses
import importlib
import inspect
from pathlib import Path

from focused_attention.attention.base import AttentionOutput as AttentionOutput
from focused_attention.attention.base import Mechanism as Mechanism
from focused_attention.attention.base import UnsuitedError as UnsuitedError
from focused_attention.attention.state import KeyValueCache as KeyValueCache
from focused_attention.attention.state import State as State

MODULES = {  # usable alone, with the arguments they were published or documented with
    "AdaptiveSpanAttention": "modules.adaptive_span",
    "SpanPredictor": "modules.adaptive_span",
    "HybridAttention": "modules.hybrid",
    "FocusedAttention": "softmax.focused",
    "HybridFocusedAttention": "sparse.hybrid",
    "IntegratedAttention": "modules.integrated",
    "LocalAttention": "modules.local",
    "MixtureOfAutoregressiveAttention": "modules.mixture_autoregressive",
}

FOLDER = Path(__file__).parent
FAMILIES = ("softmax", "linear", "sparse", "memory")


def names() -> dict[str, Path]:
    """Every mechanism and its file, by name."""
    files = (path for family in FAMILIES for path in sorted((FOLDER / family).glob("[!_]*.py")))
    return {path.stem: path for path in files}


def load(name: str) -> tuple[type, type]:
    """The configuration dataclass and the class of mechanism `name`.

    Raises ValueError for an unknown name.
    """
    files = names()
    if name not in files:
        raise ValueError(f"mechanism: unknown {name!r}; choose one of {', '.join(sorted(files))}")
    path = files[name]
    module = importlib.import_module(f"{__name__}.{path.parent.name}.{name}")
    (cls,) = (
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Mechanism) and c.__module__ == module.__name__
    )
    return module.Config, cls


def build(
    name: str,
    *,
    dims: int,
    heads: int,
    causal: bool = False,
    cross: bool = False,
    layer: int = 0,
    depth: int = 1,
    **settings,
) -> Mechanism:
    """Mechanism `name` as a layer of width `dims` with `heads` heads.

    `settings` are the fields of the mechanism's `Config`; the layer is at place `layer` of `depth`.

    Raises ValueError for an unknown name or setting, heads that do not divide the width, or a use
    (causal, cross) that the mechanism does not support.

    >>> import torch
    >>> layer = build("whisper", dims=32, heads=4, causal=True)
    >>> layer(torch.randn(2, 7, 32)).out.shape
    torch.Size([2, 7, 32])
    """
    config_cls, cls = load(name)
    known = {f.name for f in dataclasses.fields(config_cls)}
    if unknown := sorted(set(settings) - known):
        raise ValueError(
            f"{name}: unknown setting {unknown[0]!r}; "
            f"it takes {', '.join(sorted(known)) or 'no settings'}"
        )
    if causal and not cls.causal:
        raise ValueError(f"{name}: cannot hide the future (causal = False); given causal=True")
    if cross and not cls.cross:
        raise ValueError(f"{name}: cannot attend to another sequence; given cross=True")
    return cls(config_cls(**settings), dims, heads, causal, layer=layer, depth=depth)


def __getattr__(name: str) -> type:
    """Import a module of `MODULES` when it is asked for, so that the registry stays a listing."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
