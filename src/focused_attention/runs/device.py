"""The hardware: which device, how many threads, and in which precision it multiplies."""

import contextlib
import platform
from pathlib import Path

import torch


def prepare(threads: int) -> torch.device:
    """Fix the arithmetic and choose the device: CUDA where there is one, else the CPU.

    The number of threads decides the order of floating-point sums, so it is a parameter.
    """
    torch.set_num_threads(threads)
    if torch.cuda.is_available():  # the CPU's kernels that are used here are deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cuda.matmul.allow_tf32 = True
        return torch.device("cuda")
    return torch.device("cpu")


def precision(device: torch.device) -> str:
    """bfloat16 on a GPU, float32 on every CPU.

    In bfloat16 a CPU that has instructions for it (AMX) took 2.9 times as long for a training step
    of these small models; and what a CPU trains should depend on its instructions as little as can
    be.
    """
    return "bfloat16" if device.type == "cuda" else "float32"


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """The context in which a model runs in the device's precision."""
    if precision(device) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def describe(device: torch.device, threads: int) -> str:
    """The hardware in words, for the results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():  # two processors of one brand may round differently: their model tells
        pairs = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        known = {key.strip(): value.strip() for key, _, value in pairs}
        name = known.get("model name", name)
        if {"cpu family", "model"} <= known.keys():
            name += f" (family {known['cpu family']}, model {known['model']})"
    return f"{name}, {threads} {'thread' if threads == 1 else 'threads'}"
