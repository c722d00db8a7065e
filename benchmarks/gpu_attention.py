"""The parts of `make gpu` that need attention alone: agreement with the CPU, windows, speed.

Shape alphabet: B batch, T length, D model width, H heads.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention import attention
from focused_attention.attention import flex
from focused_attention.attention.windows import distances, visible, window_attention

PLAIN = "whisper"  # plain softmax attention
ROUNDING = {"float32": 1e-5, "bfloat16": 1e-2}  # below this no error is held against anyone
TORCH = f"torch {torch.__version__}"
APART = 4  # times the CPU's own error: chance moves it by less, what is wrong is far beyond
Row = dict[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    dims: int = 512
    heads: int = 8
    agree: tuple[int, int] = (64, 200)  # width and length at which devices are compared
    lengths: tuple[int, ...] = (1500, 3000, 6000, 12000)
    window: int = 64
    rounds: int = 10


SMALL = Sizes(dims=32, heads=4, agree=(32, 37), lengths=(130,), window=16, rounds=1)


def row(name: str, ours: float, peer: float | None, version: str, unit: str, *,
        target: float | None = None, floor: float = 0.0) -> Row:  # fmt: skip
    """A row whose ratio is ours over the peer's, or over `floor` if that is more: at most `target`.

    Without a target nothing is promised.
    """
    ratio = None if peer is None else ours / max(peer, floor)
    judged = target is not None and ratio is not None
    return {
        "name": name, "ours": ours, "peer": peer, "peer_version": version, "unit": unit,
        "ratio": ratio, "target": f"<= {target}" if judged else None,
        "holds": ratio <= target if judged else None,
    }  # fmt: skip


def timed(runs: dict[str, Callable], rounds: int, device: torch.device) -> dict[str, float]:
    """Median milliseconds of each, in turns, after two unmeasured rounds (kernels are compiled)."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds + 2):
        for name, one in runs.items():
            synchronize(device)
            start = time.perf_counter()
            one()
            synchronize(device)
            if i >= 2:
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(ms) for name, ms in taken.items()}


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def distance(given: list[Tensor], expected: list[Tensor]) -> float:
    """The largest relative error of a list of tensors, each in its norm; small ones count less."""
    pairs = [(a.double().cpu(), b.double().cpu()) for a, b in zip(given, expected, strict=True)]
    least = 1e-3 * max(float(b.norm()) for _, b in pairs)
    return max(float((a - b).norm()) / max(float(b.norm()), least, 1e-30) for a, b in pairs)


def outcome(
    module: nn.Module, inputs: tuple[Tensor | None, ...], kind: str, device: torch.device
) -> tuple[list[Tensor], list[Tensor]]:
    """Output, and gradients of inputs and parameters, of a mechanism in a precision on a device."""
    dtype = torch.float64 if kind == "float64" else torch.float32
    module = module.to(device, dtype)
    module.zero_grad()
    *sequences, mask = inputs
    leaves = [None if i is None else i.detach().clone().to(device, dtype).requires_grad_()
              for i in sequences]  # fmt: skip
    mask = None if mask is None else mask.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=kind == "bfloat16"):
        out, _, losses = module(*leaves, mask)
    direction = torch.linspace(-1, 1, out.numel(), device=device, dtype=dtype).sin()
    ((out.to(dtype).flatten() * direction).sum() + sum(losses.values())).backward()
    trained = (x for x in (*leaves, *module.parameters()) if x is not None)
    return [out.detach()], [x.grad.clone() for x in trained if x.grad is not None]


def agreement(name: str, sizes: Sizes, device: torch.device) -> list[Row]:
    """How far a mechanism is from the CPU's float64 on the device and on the CPU, in every use."""
    _, cls = attention.load(name)
    D, T = sizes.agree
    lengths = torch.tensor([T, 2 * T // 3])
    mask = torch.arange(T) < lengths[:, None] if cls.masked else None
    keys, queries = torch.randn(2, 2, T, D, generator=torch.Generator().manual_seed(1)).unbind()
    rows = []
    for use in ("self", "causal", "cross"):
        options = {"causal": use == "causal", "cross": use == "cross"}
        torch.manual_seed(0)
        try:
            module = attention.build(name, dims=D, heads=sizes.heads, **options).eval()
        except ValueError:
            continue  # the mechanism refuses this use
        inputs = (queries[:, : T // 2], keys, mask) if use == "cross" else (keys, None, mask)
        cpu = torch.device("cpu")
        truth = outcome(module, inputs, "float64", cpu)
        for kind, rounding in ROUNDING.items():
            ours, peer = (outcome(module, inputs, kind, d) for d in (device, cpu))
            for what, *found in zip(("forward", "gradients"), ours, peer, truth, strict=True):
                errors = (distance(one, found[2]) for one in found[:2])
                label = f"agreement of {name}, {use}, {kind}, {what}"
                rows.append(row(label, *errors, f"CPU, {TORCH}", "relative error", target=APART,
                                floor=rounding))  # fmt: skip
    return rows


def ran(path: Callable, given: list[Tensor], mask: Tensor | None, trains: bool) -> list[Tensor]:
    """Output and, where one trains, gradients of a path to attention from q, k, v (, bias)."""
    given = [x.detach().requires_grad_(trains) for x in given]
    q, k, v, *bias = given
    out = path(q, k, v, *(bias or [None]), mask)
    grads = torch.autograd.grad(out.square().sum(), given) if trains else ()
    return [out.detach(), *grads]


def windows(T: int, sizes: Sizes, device: torch.device) -> list[Row]:
    """Paths to windowed attention, without a bias as `local` and with one as `focused`."""
    size, H, K = sizes.window, sizes.heads, sizes.dims // sizes.heads
    geometry = {"size": size, "before": 1, "after": 1}
    paths = {  # and whether it has a backward here: FlexAttention has none on a CPU
        "in blocks": (lambda *given: window_attention(*given, **geometry)[0], True),
        "as FlexAttention": (lambda *given: flex.flex(*given, **geometry), device.type == "cuda"),
        "as SDPA in blocks": (lambda *given: flex.fused(*given, **geometry), True),
    }
    generator = torch.Generator().manual_seed(T)
    q, k, v = torch.randn(3, 1, H, T, K, generator=generator).unbind()
    slope = torch.rand(1, H, 1, 1, 1, generator=generator)
    bias = -slope * distances(size, 1, 1, q.device).abs() / size
    rows = []
    for label, more in (("window", []), ("window with a bias", [bias])):
        torch.compiler.reset()
        given = [q * K**-0.5, k, v, *more]
        seen = visible(None, T, size, 1, 1, q.device)
        on_cpu = {
            dtype: ran(paths["in blocks"][0], [x.to(dtype) for x in given], seen, True)
            for dtype in (torch.float64, torch.float32)
        }
        there, seen = [x.to(device) for x in given], seen.to(device)
        quick = [x.to(torch.bfloat16 if device.type == "cuda" else torch.float32) for x in there]
        for name, (path, trains) in paths.items():
            title = f"{label} of {size} {name}, T = {T}"
            found = ran(path, there, seen, trains)
            truth, peer = (tensors[: len(found)] for tensors in on_cpu.values())
            rows.append(row(f"{title}, float32", distance(found, truth), distance(peer, truth),
                            "in blocks on a CPU", "relative error", target=APART,
                            floor=ROUNDING["float32"]))  # fmt: skip
            runs = {
                "ours": lambda p=path, t=trains, x=quick, m=seen: ran(p, x, m, t),
                "all": lambda t=trains, x=quick[:3]: ran(every, x, None, t),
            }
            ms = timed(runs, sizes.rounds, device)
            kind = "forward and backward" if trains else "forward"
            rows.append(row(f"{title}, {kind}", ms["ours"], ms["all"],
                            f"SDPA over all keys, {TORCH}", "ms", target=1))  # fmt: skip
    return rows


def every(q: Tensor, k: Tensor, v: Tensor, *_: None) -> Tensor:
    """Attention to all keys, of queries that are scaled already."""
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)


def speed(name: str, sizes: Sizes, device: torch.device) -> list[Row]:
    """Forward and backward of a mechanism against plain attention at every length."""
    rows = []
    for T in sizes.lengths:
        x = torch.randn(1, T, sizes.dims, generator=torch.Generator().manual_seed(T)).to(device)
        x.requires_grad_()

        def step(module, x=x):
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                out = module(x).out
            out.float().square().sum().backward()

        layers = {n: attention.build(n, dims=sizes.dims, heads=sizes.heads).to(device)
                  for n in dict.fromkeys((name, PLAIN))}  # fmt: skip
        ms = timed({n: lambda m=m: step(m) for n, m in layers.items()}, sizes.rounds, device)
        label = f"{name}, T = {T}, forward and backward"
        rows.append(row(label, ms[name], ms[PLAIN], f"plain attention, {TORCH}", "ms"))
    return rows
