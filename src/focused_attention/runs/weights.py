"""Tensors in safetensors files, written whole or not at all.

The format (https://github.com/huggingface/safetensors): eight bytes with the header's length, a
JSON header, the tensors' bytes. Written here in a few lines because training must run on a machine
that has only PyTorch, numpy and PyYAML; the tests compare with the safetensors package.
"""

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from focused_attention.errors import UserError

DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors to `path` in name order; the file appears complete or stays as it was.

    Raises UserError when the disk is full or the folder cannot be written.
    """
    header: dict = {"__metadata__": metadata} if metadata else {}
    offset, chunks = 0, []
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        chunk = tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b""
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(chunk)],
        }
        offset += len(chunk)
        chunks.append(chunk)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little"))
            file.write(text)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{path}: could not be written ({error.strerror}; {offset / 1e6:.1f} MB needed); "
            "free some space and run the same command again, it goes on from the last checkpoint"
        ) from None


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises UserError if the file is missing or damaged.
    """
    try:
        raw = bytearray(path.read_bytes())
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])
        metadata = header.pop("__metadata__", {})
        dtypes = {name: dtype for dtype, name in DTYPES.items()}
        data = torch.frombuffer(raw, dtype=torch.uint8)[8 + size :] if header else None
        tensors = {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            if end > len(raw) - 8 - size:
                raise ValueError(f"{name} is cut short")
            flat = data[start:end].clone().view(dtypes[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train this arm first (dvc repro)") from None
    except (ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"{path}: not a complete safetensors file ({error}); delete it and train again"
        ) from None
    return tensors, metadata
