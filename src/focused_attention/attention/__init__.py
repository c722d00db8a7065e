"""Attention mechanisms, one file each; the registry is the folder listing.

The file name is the registry key, the key in params.yaml and the name in every table. A file holds
its keyword-only dataclass `Config` and one subclass of `Core` or `Mechanism`, and nothing else.
"""

import dataclasses
import importlib
import inspect
from pathlib import Path

from focused_attention.attention.base import AttentionOutput as AttentionOutput
from focused_attention.attention.base import Core, Mechanism, MultiHeadAttention
from focused_attention.attention.base import KeyValueCache as KeyValueCache

MODULES = {  # usable alone, with the arguments they were published or documented with
    "AdaptiveSpanAttention": "softmax.adaptive_span_published",
    "SpanPredictor": "softmax.adaptive_span_published",
    "HybridAttention": "sparse.hybrid_published",
    "FocusedAttention": "softmax.focused",
    "HybridFocusedAttention": "sparse.hybrid",
    "LocalAttention": "sparse.local",
    "MixtureOfAutoregressiveAttention": "sparse.mixture_autoregressive",
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
        if inspect.isclass(c)
        and issubclass(c, Core | Mechanism)
        and c.__module__ == module.__name__
    )
    return module.Config, cls


def build(
    name: str, *, dims: int, heads: int, causal: bool = False, cross: bool = False, **settings
) -> Mechanism:
    """Mechanism `name` as a layer of width `dims` with `heads` heads.

    `settings` are the fields of the mechanism's `Config`. A `Core` is built from its config and
    wrapped in the shared projections; a `Mechanism` as `cls(config, dims, heads, causal=)`.

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
    if dims % heads:
        raise ValueError(f"{name}: heads must divide the width; given width {dims}, heads {heads}")
    if causal and not cls.causal:
        raise ValueError(f"{name}: cannot hide the future (causal = False); given causal=True")
    if cross and not cls.cross:
        raise ValueError(f"{name}: cannot attend to another sequence; given cross=True")
    config = config_cls(**settings)
    if issubclass(cls, Core):
        return MultiHeadAttention(cls(config, dims // heads), dims, heads, causal=causal)
    return cls(config, dims, heads, causal=causal)


def __getattr__(name: str) -> type:
    """Import a module of `MODULES` when it is asked for, so that the registry stays a listing."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
