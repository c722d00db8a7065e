"""What is written is read again, here and by others, and what happens when writing fails."""

import errno
import json
import os
import struct

import pytest
import safetensors.torch
import torch

from focused_attention.errors import UserError
from focused_attention.runs import weights


@pytest.fixture
def tensors():
    return {
        "weight": torch.randn(3, 5),
        "half": torch.randn(4).half(),
        "brain": torch.randn(2, 2).bfloat16(),
        "step": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "bytes": torch.arange(9, dtype=torch.uint8),
        "empty": torch.empty(0, 3),
        "strided": torch.randn(6, 4).T,
    }


def test_safetensors_reads_what_is_written(tmp_path, tensors):
    path = tmp_path / "folder" / "model.safetensors"
    weights.save(path, tensors, "step 7")
    theirs = safetensors.torch.load_file(path)
    assert theirs.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(theirs[name], tensor)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"about": "step 7"}
    ours, about = weights.load(path)
    assert about == "step 7"
    for name, tensor in tensors.items():
        assert torch.equal(ours[name], tensor)
        assert ours[name].dtype == tensor.dtype


def test_the_bytes_depend_on_names_and_values_alone(tmp_path, tensors):
    """Not on the order or the layout, nor on a process' hashes; the digest is of the format."""
    names = sorted(tensors)
    weights.save(tmp_path / "one", {name: tensors[name] for name in names}, "seed 1")
    weights.save(tmp_path / "two", {name: tensors[name].clone() for name in names[::-1]}, "seed 1")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    weights.save(tmp_path / "three", {"b": torch.arange(3.0), "a": torch.ones(2, 2)})
    header = json.dumps(
        {
            "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
            "b": {"dtype": "F32", "shape": [3], "data_offsets": [16, 28]},
        },
        separators=(",", ":"),
    )
    header += " " * (-len(header) % 8)
    values = struct.pack("<7f", 1, 1, 1, 1, 0, 1, 2)
    written = (tmp_path / "three").read_bytes()
    assert written == len(header).to_bytes(8, "little") + header.encode() + values


def test_reads_what_safetensors_writes(tmp_path, tensors):
    path = tmp_path / "model.safetensors"
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(contiguous, path, {"a": "b"})
    ours, about = weights.load(path)
    assert about == ""
    for name, tensor in tensors.items():
        assert torch.equal(ours[name], tensor)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, tensors, monkeypatch):
    path = tmp_path / "model.safetensors"
    weights.save(path, {"a": torch.zeros(1)})

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"model\.safetensors: could not be .*No space left"):
        weights.save(path, tensors)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert weights.load(path)[0].keys() == {"a"}


@pytest.mark.parametrize("keep", [4, 60, -3])
def test_a_truncated_file_is_named(tmp_path, tensors, keep):
    path = tmp_path / "model.safetensors"
    weights.save(path, tensors)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors: not a complete"):
        weights.load(path)


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="train this arm first"):
        weights.load(tmp_path / "none.safetensors")
