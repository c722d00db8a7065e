"""The hardware: which device, how many threads, and whether bfloat16 gains anything on it."""

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


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 where the hardware multiplies it faster than float32, else nothing."""
    if device.type == "cuda" or torch.cpu._is_amx_tile_supported():
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def describe(device: torch.device, threads: int) -> str:
    """The hardware in words, for the results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    return f"{name}, {threads} {'thread' if threads == 1 else 'threads'}"
