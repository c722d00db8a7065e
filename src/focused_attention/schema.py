"""YAML files as typed dataclasses, checked all the way down; one file written over another.

Ours and not a library's, because training and `make gpu` must run where PyTorch, NumPy, PyYAML and
safetensors are all there is.
"""

import dataclasses
import re
import types
import typing
from pathlib import Path

import yaml

from focused_attention.errors import UserError

PUBLISHED = "openai/"  # stands before a published checkpoint that is an arm's `start`


class Loader(yaml.SafeLoader):
    """PyYAML with the booleans of YAML 1.2: `off` is a word, as DVC writes it."""

    yaml_implicit_resolvers: typing.ClassVar = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("(?:true|false)$"), list("tf"))


def read(path: Path) -> dict:
    """A YAML mapping. Raises UserError if the file is missing or not a mapping."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the repository's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping of sections")
    return content


def build(kind: type, value: object, file: str, where: str):
    """`value` as type `kind`, checked all the way down; `where` is the key path for the message."""
    name = where or "top level"
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise UserError(f"{file}: {name}: expected a mapping, given {value!r}")
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind)}
        if unknown := [key for key in value if key not in fields]:
            raise UserError(
                f"{file}: {name}: unknown key {unknown[0]!r}; known keys: {', '.join(fields)}"
            )
        optional = {n for n, f in fields.items() if f.default_factory is not dataclasses.MISSING}
        optional |= {n for n, f in fields.items() if f.default is not dataclasses.MISSING}
        if missing := [n for n in fields if n not in value and n not in optional]:
            raise UserError(f"{file}: {name}: missing key {missing[0]!r}")
        prefix = f"{where}." if where else ""
        return kind(**{k: build(hints[k], v, file, prefix + k) for k, v in value.items()})
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(origin, type) and origin is not types.UnionType and isinstance(value, origin):
        if origin is list:
            return [build(args[0], v, file, f"{where}[{i}]") for i, v in enumerate(value)]
        return {k: build(args[1], v, file, f"{where}.{k}") for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is None and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    expected = kind.__name__ if origin is None else str(kind)
    if origin is typing.Literal:
        if value in args:
            return value
        expected = " or ".join(args)
    raise UserError(f"{file}: {where}: expected {expected}, given {value!r}")


def overlay(base: dict, over: dict) -> dict:
    """`base` with the values of `over` written over it; mappings merge, the rest replaces."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = overlay(base[key], value) if both else value
    return merged


def write_over(base: dict, over: dict) -> None:
    """`overlay` in place, so that what `base` keeps beside its values, comments, stays."""
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            write_over(base[key], value)
        else:
            base[key] = value


def written_out(arms: object, file: str) -> object:
    """The rows of arms, those that are `like` another with what they take over from it.

    A slot that names its mechanism is taken as it is; one that does not changes the other's
    settings. Raises UserError for an arm that is like none or, in a circle, like itself.

    A `start` that is no arm but a published checkpoint, `openai/tiny.en`, is its `checkpoint`.
    """
    if not isinstance(arms, dict):
        return arms
    if wrong := [name for name, row in arms.items() if not isinstance(row, dict)]:
        raise UserError(f"{file}: arms.{wrong[0]}: expected a mapping, given {arms[wrong[0]]!r}")

    def whole(name: str, *asking: str) -> dict:
        row = dict(arms[name])
        if "like" not in row:
            return row
        other = row.pop("like")
        if other in (name, *asking):
            circle = " is like ".join([*reversed(asking), name, other])
            raise UserError(f"{file}: arms.{name}: {circle}; write one of them with a `model`")
        if not isinstance(other, str) or other not in arms:
            raise UserError(
                f"{file}: arms.{name}: like: unknown arm {other!r}; choose one of "
                + ", ".join(arms)
            )
        taken = whole(other, name, *asking)
        for key, value in row.items():
            settings = isinstance(value, dict) and "mechanism" not in value
            taken[key] = taken.get(key, {}) | value if settings else value
        return taken

    return {name: published(whole(name)) for name in arms}


def published(row: dict) -> dict:
    """The row of an arm, with the published checkpoint from which it starts under its own key.

    >>> published({"model": "whisper", "heads": 6, "start": "openai/tiny.en"})
    {'model': 'whisper', 'heads': 6, 'checkpoint': 'tiny.en'}
    """
    start = row.get("start")
    if not (isinstance(start, str) and start.startswith(PUBLISHED)):
        return row
    rest = {key: value for key, value in row.items() if key != "start"}
    return rest | {"checkpoint": start.removeprefix(PUBLISHED)}
