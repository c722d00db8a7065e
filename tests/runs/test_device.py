"""The hardware: in which arithmetic and precision it multiplies, and its name."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from focused_attention.runs import device

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: A processor
"""
ROOT = Path(__file__).parents[2]
AVX2 = "AVX2" if torch.cpu._is_avx2_supported() else "DEFAULT"
TOLD = """
import os
print(torch.backends.cpu.get_cpu_capability(), *map(os.environ.get, sorted(device.VARIABLES)))
"""
STAGES = """
from focused_attention import measures
from focused_attention.stages import adapt, evaluate, example, measure, seek, train
for name in measures.names():
    measures.load(name)
"""


def printed(*code: str, fails: bool = False, **variables: str) -> str:
    """What a process of its own prints, errors included, with these variables set by hand."""
    known = {key: value for key, value in os.environ.items() if key not in device.VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], text=True, check=False, capture_output=True,
        env=known | {"PYTHONPATH": str(ROOT / "src")} | variables,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stderr
    return (done.stdout + done.stderr).strip()


def prepared(arithmetic: str) -> str:
    imported = "import torch; from focused_attention.runs import device"
    return f"{imported}; device.prepare(1, '{arithmetic}')"


def test_the_canonical_arithmetic_is_written_over_what_is_set_by_hand():
    """And nothing that a stage imports computes before."""
    by_hand = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX2"}
    told = printed(STAGES, prepared("canonical"), TOLD, **by_hand)
    assert told == f"{AVX2} {AVX2.lower()} COMPATIBLE AVX2"


def test_in_the_native_arithmetic_what_is_set_by_hand_counts():
    assert printed(prepared("native"), TOLD, ATEN_CPU_CAPABILITY="default") == (
        "DEFAULT default None None"
    )


def test_a_processor_without_avx2_is_not_told_to_have_it():
    without = "import torch; torch.cpu._is_avx2_supported = lambda: False"
    assert printed(without, prepared("canonical"), TOLD) == "DEFAULT default COMPATIBLE AVX2"


@pytest.mark.skipif(AVX2 == "DEFAULT", reason="nothing else than the default can have been taken")
def test_an_arithmetic_that_comes_too_late_is_one_line():
    first = "import torch; torch.ones(2).add_(1)"
    stage = "from focused_attention.errors import run; run(lambda: device.prepare(1, 'canonical'))"
    imported = "from focused_attention.runs import device"
    told = printed(first, imported, stage, fails=True, ATEN_CPU_CAPABILITY="default")
    assert told.startswith("error: the canonical arithmetic comes too late: ")
    assert "\n" not in told


def test_what_is_known_of_the_canonical_arithmetic_is_known_of_these_variables():
    rows = json.loads((ROOT / "results/arithmetic.json").read_text())["rows"]
    canonical = [row for row in rows if row["arithmetic"] == device.CANONICAL]
    assert all(row["variables"] == device.VARIABLES for row in canonical)
    assert len({row["processor"] for row in canonical}) == len(canonical) > 1
    digests = re.findall(r"\b[0-9a-f]{12}\b", device.fix.__doc__)
    assert len(digests) == 4
    assert {*digests} <= {row[model] for row in rows for model in ("echo", "whisper")}


def test_a_gpu_has_no_arithmetic(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "fix", lambda: pytest.fail("the CPU's was fixed"))
    kept = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    assert device.prepare(kept[1], "canonical").type == "cuda"
    torch.use_deterministic_algorithms(kept[0])


@pytest.mark.parametrize("amx", [False, True])
def test_a_cpu_multiplies_in_float32_whatever_instructions_it_has(monkeypatch, amx):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    cpu = torch.device("cpu")
    assert device.precision(cpu) == "float32"
    assert isinstance(device.autocast(cpu), contextlib.nullcontext)


def test_a_gpu_multiplies_in_bfloat16(monkeypatch):
    gpu, asked = torch.device("cuda"), []
    monkeypatch.setattr(torch, "autocast", lambda *args: asked.append(args))
    device.autocast(gpu)
    assert device.precision(gpu) == "bfloat16"
    assert asked == [("cuda", torch.bfloat16)]


def test_a_processor_is_told_from_another_of_its_brand(monkeypatch, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(CPUINFO)
    monkeypatch.setattr(device, "Path", lambda _: cpuinfo)
    cpu = torch.device("cpu")
    assert device.describe(cpu, 1) == "A processor (family 25, model 17), 1 thread"
    cpuinfo.write_text("model name\t: A processor\n")
    assert device.describe(cpu, 2) == "A processor, 2 threads"
    monkeypatch.setattr(device, "capability", lambda: "AVX2")
    named = "A processor, 2 threads, canonical arithmetic (AVX2)"
    assert device.describe(cpu, 2, "canonical") == named
