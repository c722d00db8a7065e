"""The canonical arithmetic trains the same weights whatever kernels a process would have taken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from focused_attention.runs import device
from focused_attention.stages import seek
from tests.stages.tiny import prepared

SOURCES = Path(seek.__file__).parents[2]
DEFAULT = {"ATEN_CPU_CAPABILITY": "default"}


def trained(folder: Path, arithmetic: str, variables: dict[str, str]) -> tuple[bytes, str]:
    """The weights of a tiny arm after four steps, and what is written beside its numbers."""
    prepared(folder, {"seek": {"arithmetic": arithmetic}})
    known = {key: value for key, value in os.environ.items() if key not in device.VARIABLES}
    subprocess.run(
        [sys.executable, "-m", "focused_attention.stages.seek", "tiny"], cwd=folder, check=True,
        env=known | {"PYTHONPATH": str(SOURCES)} | variables, capture_output=True,
    )  # fmt: skip
    weights = (folder / "runs/tiny/seek/tiny-1.safetensors").read_bytes()
    return weights, (folder / "results/tiny/seek/tiny-1.json").read_text()


@pytest.mark.skipif(not torch.cpu._is_avx2_supported(), reason="a processor without AVX2")
def test_the_canonical_arithmetic_is_that_of_its_variables(tmp_path):
    canonical, told = trained(tmp_path / "canonical", "canonical", DEFAULT)
    by_hand, _ = trained(tmp_path / "by-hand", "native", device.VARIABLES)
    other, _ = trained(tmp_path / "other", "native", DEFAULT)
    assert canonical == by_hand != other
    assert "canonical arithmetic (AVX2)" in told
