"""The hardware: which device, how many threads, in which arithmetic and precision it multiplies."""

import contextlib
import os
import platform
from pathlib import Path

import torch

from focused_attention.errors import UserError

CANONICAL = "canonical"
# Whatever listens with OpenAI's Whisper, and the benchmarks, have this one always: their committed
# rows were made in it, and the canonical one takes 1.5 to 1.9 times as long.
NATIVE = "native"
VARIABLES = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}


def prepare(threads: int, arithmetic: str) -> torch.device:
    """Fix the arithmetic and choose the device: CUDA where there is one, else the CPU.

    The number of threads decides the order of floating-point sums, so it is a parameter, as is the
    CPU's arithmetic. To be called before the first operation on a tensor.
    """
    gpu = torch.cuda.is_available()
    if arithmetic == CANONICAL and not gpu:
        fix()
    torch.set_num_threads(threads)
    if gpu:  # the CPU's kernels that are used here are deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cuda.matmul.allow_tf32 = True
        return torch.device("cuda")
    return torch.device("cpu")


def fix() -> None:
    """Give this process the canonical arithmetic: the same bytes on every processor with AVX2.

    PyTorch, oneDNN and MKL choose kernels by a processor's instructions, and other kernels sum in
    another order. `VARIABLES` give them the same ones everywhere. They are read at the first
    operation on a tensor, not when PyTorch is imported, and written here over what is set by hand:
    that counts in the native arithmetic alone.

    Known of it from a training at revision c128067 (profile smoke, seed 1; the first digits of the
    weights' SHA-256): an EPYC gave the bytes of a Xeon with AVX-512 and AMX, echo 9f77cbdbcd74 and
    whisper 29b59108aafd. With MKL_CBWR=AVX2, which costs less, it did not: echo d1103b27d0ae there,
    59199d745370 on the Xeon. All that was tried is in results/arithmetic.json. Nothing is
    known of the quantised products of `inference/int8.py`, which kernels of their own compute.

    Raises UserError where the first operation on a tensor has been.
    """
    os.environ |= VARIABLES
    if not torch.cpu._is_avx2_supported():
        os.environ["ATEN_CPU_CAPABILITY"] = "default"  # believed without a look at the processor
    wanted, got = os.environ["ATEN_CPU_CAPABILITY"].upper(), capability()
    if got != wanted:
        raise UserError(
            f"the canonical arithmetic comes too late: PyTorch has computed with {got} kernels "
            f"already; run the stage as a command of its own, or set arithmetic: {NATIVE}"
        )


def capability() -> str:
    """The kernels that PyTorch has on this CPU, as AVX2; asking fixes them for the process."""
    return torch.backends.cpu.get_cpu_capability()


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


def describe(device: torch.device, threads: int, arithmetic: str = NATIVE) -> str:
    """The hardware in words, for the results; an arithmetic that is not its own is named."""
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
    name += f", {threads} {'thread' if threads == 1 else 'threads'}"
    return name if arithmetic == NATIVE else f"{name}, {arithmetic} arithmetic ({capability()})"
