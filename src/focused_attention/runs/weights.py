"""Tensors in safetensors files, written whole or not at all."""

import os
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from focused_attention.errors import UserError

ABOUT = "about"  # the one entry of a file's metadata: several are written in an order of chance


def save(path: Path, tensors: dict[str, Tensor], about: str = "") -> None:
    """Write tensors, and a text about them, to `path`; it appears complete or stays as it was.

    The same tensors give the same bytes. Raises UserError when the disk is full or the folder
    cannot be written.
    """
    apart = {  # the package refuses tensors that lie in one piece of memory
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    content = safetensors.torch.save(apart, {ABOUT: about} if about else None)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{path}: could not be written ({error.strerror}; {len(content) / 1e6:.1f} MB needed); "
            "free some space and run the same command again, it goes on from the last checkpoint"
        ) from None


def load(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of a safetensors file, and what `save` was told about them.

    Raises UserError if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = (file.metadata() or {}).get(ABOUT, "")
            names = file.keys()
            return {name: file.get_tensor(name).clone() for name in names}, about
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train this arm first (dvc repro)") from None
    except SafetensorError as error:
        raise UserError(
            f"{path}: not a complete safetensors file ({error}); delete it and train again"
        ) from None
