"""The hardware: in which precision it multiplies, and its name."""

import contextlib

import pytest
import torch

from focused_attention.runs import device

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: A processor
"""


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
