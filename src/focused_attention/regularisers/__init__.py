"""What is added to a training, or re-parametrised for it, one file each.

The registry is the folder listing. The file name is the key in params.yaml, under `regularisers:`
of an arm. A file holds its keyword-only dataclass `Config` and one subclass of `Regulariser`.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Iterable
from pathlib import Path

from focused_attention.regularisers.base import Objective as Objective
from focused_attention.regularisers.base import Regulariser

FOLDER = Path(__file__).parent
SHARED = ("base",)  # files that are no regularisers


def names() -> dict[str, Path]:
    """Every regulariser and its file, by name."""
    files = sorted(FOLDER.glob("[!_]*.py"))
    return {path.stem: path for path in files if path.stem not in SHARED}


def load(name: str) -> tuple[type, type[Regulariser]]:
    """The configuration dataclass and the class of regulariser `name`.

    Raises ValueError for an unknown name.
    """
    if name not in (known := names()):
        raise ValueError(f"regularisers: unknown {name!r}; choose one of {', '.join(known)}")
    module = importlib.import_module(f"{__name__}.{name}")
    (cls,) = (
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Regulariser) and c.__module__ == module.__name__
    )
    return module.Config, cls


def configure(name: str, settings: dict) -> object:
    """The `Config` of regulariser `name` with these settings.

    Raises ValueError for an unknown name or setting, one that is missing, or a value it refuses.
    """
    config, _ = load(name)
    fields = {field.name: field for field in dataclasses.fields(config)}
    if unknown := sorted(set(settings) - set(fields)):
        raise ValueError(
            f"regularisers: {name}: unknown setting {unknown[0]!r}; it takes {', '.join(fields)}"
        )
    needed = [n for n, field in fields.items() if field.default is dataclasses.MISSING]
    if missing := [n for n in needed if n not in settings]:
        raise ValueError(f"regularisers: {name}: setting {missing[0]!r} is missing")
    return config(**settings)


def wrapped(objective: Objective, regularisers: Iterable[Regulariser]) -> Objective:
    """The objective with the losses of all of them, in their order."""
    for regulariser in regularisers:
        objective = regulariser.wrap(objective)
    return objective


def build(named: dict[str, dict]) -> list[Regulariser]:
    """The regularisers of an arm, {name: settings}, in their order.

    Raises ValueError as `configure` does.

    >>> [type(regulariser).__name__ for regulariser in build({"entropy": {"weight": 0.1}})]
    ['Entropy']
    """
    return [load(name)[1](configure(name, settings)) for name, settings in named.items()]
