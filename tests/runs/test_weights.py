"""The checkpoint format against the safetensors package, and what happens when writing fails."""

import errno
import os

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
    weights.save(path, tensors, {"step": "7"})
    theirs = safetensors.torch.load_file(path)
    assert theirs.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(theirs[name], tensor)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"step": "7"}


def test_reads_what_safetensors_writes(tmp_path, tensors):
    path = tmp_path / "model.safetensors"
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(contiguous, path, {"a": "b"})
    ours, metadata = weights.load(path)
    assert metadata == {"a": "b"}
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
