"""What is done to the attention of a trained model while it runs, without training it again.

Every technique is a file that holds a context manager of its name, which takes the model and yields
the model to run: `temperature(model, 0.5, "cross")`. The file's name is the technique's key in
params.yaml and in every table. It leaves the model as it was; a neutral setting changes nothing at
all, so that the outputs are the same to the bit.

A slot is a place in the model: `encoder` self-attention (focus blocks included), `decoder`
self-attention or `cross`-attention.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from focused_attention.attention import Mechanism
from focused_attention.attention import UnsuitedError as UnsuitedError
from focused_attention.attention.view import Edit
from focused_attention.models import SpeechModel

SLOTS = ("encoder", "decoder", "cross")
FOLDER = Path(__file__).parent


def names() -> dict[str, Path]:
    """Every technique and its file, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("[!_]*.py"))}


def load(name: str) -> Callable[..., AbstractContextManager[SpeechModel]]:
    """The context manager of technique `name`. Raises ValueError for an unknown name."""
    if name not in names():
        raise ValueError(f"technique: unknown {name!r}; choose one of {', '.join(names())}")
    return getattr(importlib.import_module(f"{__name__}.{name}"), name)


def applied(model: SpeechModel, name: str, *slots: str, **settings):
    """Technique `name` with its settings, as a context manager that yields the model to run.

    Raises ValueError for an unknown name or setting.
    """
    technique = load(name)
    taken = inspect.signature(technique).parameters.values()
    before = [p.name for p in taken if p.kind is p.POSITIONAL_OR_KEYWORD][1:]  # of the slots
    given = [settings.pop(setting) for setting in before if setting in settings]
    try:
        inspect.signature(technique).bind(model, *given, *slots, **settings)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
    return technique(model, *given, *slots, **settings)


def refusal(intervention: AbstractContextManager) -> str | None:
    """Why an intervention cannot be made; None if it can.

    >>> from focused_attention.inference.temperature import temperature
    >>> from focused_attention.models import build
    >>> sizes = dict(n_audio_ctx=9, n_audio_state=8, n_audio_head=2, n_audio_layer=1, n_text_ctx=9,
    ...     n_text_state=8, n_text_head=2, n_text_layer=1)
    >>> echo = build("echo", n_mels=4, n_vocab=9, focus="mixture_autoregressive", **sizes)
    >>> refusal(temperature(echo, 0.5, "encoder"))
    'MixtureAutoregressive has no temperature'
    >>> refusal(temperature(echo, 0.5, "cross"))
    """
    try:
        with intervention:
            return None
    except UnsuitedError as error:
        return str(error)


def attentions(model: SpeechModel, slot: str) -> list[Mechanism]:
    """The attention layers of a slot, from the first block to the last.

    Raises ValueError for an unknown slot.
    """
    match slot:
        case "encoder":
            return [block.attn for block in model.encoder.blocks]
        case "decoder":
            return [block.attn for block in model.decoder.blocks]
        case "cross":
            return [block.cross_attn for block in model.decoder.blocks]
    raise ValueError(f"slot: expected one of {', '.join(SLOTS)}, given {slot!r}")


@contextmanager
def edited(model: SpeechModel, slots: tuple[str, ...], edit: Edit) -> Iterator[SpeechModel]:
    """Change the rows of weights of `slots` before they meet the values, after other changes.

    Raises UnsuitedError for a mechanism whose rows cannot be changed.
    """
    layers = [layer for slot in slots for layer in attentions(model, slot)]
    before = [layer.edit for layer in layers]
    try:
        for layer, first in zip(layers, before, strict=True):
            if not (layer.weighted and layer.projected):
                raise UnsuitedError(f"{type(layer).__name__} has no weights that could be changed")
            layer.edit = edit if first is None else lambda rows, first=first: edit(first(rows))
        yield model
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.edit = own
