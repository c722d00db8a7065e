"""Speed and memory of the attention mechanisms against length, and against the peers.

Ours and the peer do the same work on the same inputs and threads, in turns (A B A B ...), and the
medians are compared. Where the outputs should agree they are compared first, so that nothing quick
and wrong is timed. The table gives every mechanism's time and peak memory at every length, beside
the floor: the time that its multiplications and its bytes would take at the speeds of one large
matrix product and one large copy, measured in the same run. Where there is a CUDA device, the
focused window is also timed as FlexAttention. Writes results/benchmark-attention.json.
"""

import argparse
import ctypes
import gc
import logging
import math
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from colt5_attention import ConditionalRoutedAutoregressiveAttention
from local_attention import LocalAttention as PackageLocalAttention
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.testing import assert_close

from focused_attention.attention import LocalAttention, MixtureOfAutoregressiveAttention, build
from focused_attention.attention.focus import Focus, FocusConfig
from focused_attention.attention.softmax.adaptive_span_published import slide_win, window_lengths
from focused_attention.paths import RESULTS
from focused_attention.results import write_json
from focused_attention.runs.device import describe

THREADS = 2
OUTPUT = RESULTS / "benchmark-attention.json"
DIMS, HEADS = 512, 8
LENGTHS = (500, 1500, 3000, 6000, 12000)
QUICK_LENGTHS = (500, 1500)
GROWTH = (1500, 12000)  # lengths between which the growth exponents are taken
LONG, SHORT = 6000, 500
ROUNDS = 7  # of the table: fewer could not tell a median from its extremes
PLAIN = "whisper"  # plain softmax attention, to which the ratios are
MECHANISMS = (
    "whisper",
    "rotary",
    "focused",
    "hybrid",
    "local",
    "adaptive_span_published",
    "hybrid_published",
)
ROUTED_LENGTHS = (1500, 3000)  # of the routed peer, which copies every key for every window
log = logging.getLogger(__name__)


def in_turns(ours: Callable, peer: Callable, rounds: int) -> tuple[float, float]:
    """Median seconds of each, measured A B A B after unmeasured rounds: the allocator warms up."""
    seconds = ([], [])
    unmeasured = 1 if rounds < 3 else 3
    for i in range(rounds + unmeasured):
        for one, taken in zip((ours, peer), seconds, strict=True):
            elapsed = timed(one)
            if i >= unmeasured:
                taken.append(elapsed)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def timed(run: Callable) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def training(module: nn.Module, *inputs: Tensor) -> Callable:
    """Forward and backward of a module, gradients of its inputs included."""

    def run():
        module.zero_grad()
        for x in inputs:
            x.grad = None
        out = module(*inputs)
        getattr(out, "out", out).sum().backward()

    return run


def frames(T: int) -> Tensor:
    return torch.randn(1, T, DIMS, generator=torch.Generator().manual_seed(T)).requires_grad_()


def heads(T: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(T)
    shape = 1, HEADS, T, DIMS // HEADS
    return [torch.randn(shape, generator=generator).requires_grad_() for _ in range(3)]


def slower_than(name: str, target: float, seconds: tuple[float, float], peer: str) -> dict:
    """A row whose ratio is our time over the peer's: at most `target`."""
    ours, theirs = (1000 * s for s in seconds)
    return row(name, ours, theirs, peer, "ms", ours / theirs, f"<= {target}")


def faster_than(name: str, target: float, seconds: tuple[float, float], peer: str) -> dict:
    """A row whose ratio is the peer's time over ours: at least `target`."""
    ours, theirs = (1000 * s for s in seconds)
    return row(name, ours, theirs, peer, "ms", theirs / ours, f">= {target}")


def row(name, ours, theirs, peer, unit, ratio, target) -> dict:
    sign, _, limit = target.partition(" ")
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": None if theirs is None else round(theirs, 3),
        "peer_version": peer,
        "unit": unit,
        "ratio": round(ratio, 6),
        "target": target,
        "holds": ratio <= float(limit) if sign == "<=" else ratio >= float(limit),
    }


class LocalBranch(nn.Module):
    """The corrected local branch as the hybrid runs it: on queries, keys and values it is given."""

    def __init__(self):
        super().__init__()
        self.focus = Focus(FocusConfig(), DIMS, HEADS)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.focus(q, k, v, None, causal=False, cross=False, need_weights=False)[0]


class PublishedLocalBranch(nn.Module):
    """The published one: the loop over windows on its normalised input."""

    def __init__(self):
        super().__init__()
        self.hybrid = build("hybrid_published", dims=DIMS, heads=HEADS).hybrid

    def forward(self, x: Tensor) -> Tensor:
        hybrid = self.hybrid
        scale = hybrid.span_pred(x.mean(dim=1))
        window, span = window_lengths(scale, hybrid.slid_win, hybrid.max_span)
        hybrid.attn_local.max_dist = min(hybrid.dist_local, span, window)
        return slide_win(hybrid.attn_local, x, window, span, scale)


def local_branch(T: int, rounds: int) -> dict:
    ours, published = (
        training(LocalBranch(), *heads(T)),
        training(PublishedLocalBranch(), frames(T)),
    )
    seconds = in_turns(ours, published, rounds)
    return faster_than(f"corrected local branch, T = {T}", 5, seconds, "published loop")


def hybrid(timings: list[dict], T: int) -> dict:
    ours, plain = (timing(timings, name, T) for name in ("hybrid", PLAIN))
    name, peer = f"corrected hybrid, T = {T}", "plain multi-head attention"
    return row(name, ours["both_ms"], plain["both_ms"], peer, "ms", ours["ratio"], "<= 1.5")


def hybrid_against_published(timings: list[dict], T: int) -> dict:
    ours, peer = (timing(timings, name, T)["both_ms"] for name in ("hybrid", "hybrid_published"))
    name = f"corrected hybrid against the published one, T = {T}"
    return row(name, ours, peer, "published", "ms", ours / peer, "<= 0.5")


def timing(timings: list[dict], mechanism: str, T: int) -> dict:
    """The one row of the table."""
    (found,) = (r for r in timings if (r["mechanism"], r["length"]) == (mechanism, T))
    return found


def local(T: int, target: float, causal: bool, rounds: int) -> dict:
    """Window 64, rotary, one block either side; T is padded by the package where it must be."""
    options = {"window_size": 64, "causal": causal, "dim": DIMS // HEADS}
    ours, package = LocalAttention(**options), PackageLocalAttention(**options, autopad=True)
    q, k, v = heads(T)
    with torch.no_grad():
        mask = torch.ones(1, T, dtype=torch.bool)  # without it the package attends to its padding
        assert_close(ours(q, k, v, mask=mask), package(q, k, v, mask=mask), rtol=1e-4, atol=1e-5)
    seconds = in_turns(training(ours, q, k, v), training(package, q, k, v), rounds)
    name = f"local, window 64{', causal' if causal else ''}, T = {T}"
    return faster_than(name, target, seconds, f"local-attention {version('local-attention')}")


def mixture(T: int, rounds: int) -> dict:
    """One expert, 16 queries and 16 keys of every window of 128."""
    ours = MixtureOfAutoregressiveAttention(DIMS, 16, 16, 128, num_experts=1, heads=HEADS)
    peer = ConditionalRoutedAutoregressiveAttention(
        DIMS,
        num_heavy_tokens_q=16,
        num_heavy_tokens_kv=16,
        light_window_size=128,
        light_heads=HEADS,
        heavy_heads=HEADS,
    )
    seconds = in_turns(training(ours, frames(T)), training(peer, frames(T)), rounds)
    name = f"mixture_autoregressive, T = {T}"
    return slower_than(name, 1.0, seconds, f"colt5-attention {version('colt5-attention')}")


def operations(name: str, T: int) -> tuple[float, float]:
    """Multiply-adds times two, and bytes, of one forward: what the mechanism cannot do without.

    Projections are counted in square matrices of width D, those whose result is thrown away not.
    Bytes: frames in and out, the heads' queries, keys, values and results, and the weights, once.
    """
    D, config = DIMS, FocusConfig()
    projections = {"hybrid": 5, "hybrid_published": 6, "adaptive_span_published": 0}.get(name, 4)
    keys = {  # seen by a query
        "focused": 2 * (config.max_span + config.ramp) - 1,
        "hybrid": T + 2 * (config.max_span + config.ramp) - 1,
        "hybrid_published": T + 32,
        "adaptive_span_published": 32,
        "local": 3 * 64,
    }.get(name, T)
    flops = 2.0 * T * projections * D**2 + 4.0 * T * min(keys, 2 * T) * D
    return flops, 4.0 * (6 * T * D + projections * D**2)


def speeds() -> tuple[float, float]:
    """FLOP/s of a large matrix product and bytes/s of a large copy."""
    a, b = torch.randn(2, 2048, 2048).unbind()
    source, target = torch.randn(2, 2**24).unbind()
    product = min(timed(lambda: a @ b) for _ in range(5))
    copy = min(timed(lambda: target.copy_(source)) for _ in range(5))
    return 2 * 2048**3 / product, 2 * 4 * 2**24 / copy


def peak_memory(run: Callable) -> float | None:
    """MiB that a run adds to the process at its peak; None where Linux does not tell."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        return None

    def mebibytes(key: str) -> float:
        line = next(x for x in status.read_text().splitlines() if x.startswith(key))
        return int(line.split()[1]) / 1024

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # what was freed leaves the process, to be counted again
    before = mebibytes("VmRSS")
    clear.write_text("5")  # forget the peak so far
    run()
    return mebibytes("VmHWM") - before


def table(lengths: tuple[int, ...], rounds: int) -> list[dict]:
    """One row a mechanism and length: times, floors, ratios to plain attention, peak memory."""
    flops_per_second, bytes_per_second = speeds()
    rows = []
    for T in lengths:
        modules = {name: build(name, dims=DIMS, heads=HEADS) for name in MECHANISMS}
        x = frames(T)
        memory = {name: peak_memory(training(module, x)) for name, module in modules.items()}
        taken = [turn(modules, x) for _ in range(rounds)]
        for name in MECHANISMS:
            flops, moved = operations(name, T)
            floor = max(flops / flops_per_second, moved / bytes_per_second)
            found = {"mechanism": name, "length": T, "rounds": rounds}
            for kind, floors in (("forward", 1), ("both", 3)):  # the backward is twice the forward
                found[f"{kind}_ms"] = 1000 * statistics.median(r[name, kind] for r in taken)
                found[f"{kind}_floor_ms"] = 1000 * floors * floor
            ratios = [r[name, "both"] / r[PLAIN, "both"] for r in taken]
            found |= {"ratio": statistics.median(ratios)}
            found |= {"ratio_low": min(ratios), "ratio_high": max(ratios)}
            rows.append(found | {"gflop": 3e-9 * flops, "peak_mib": memory[name]})
            log.info("%(mechanism)s, T = %(length)d: %(both_ms).1f ms, × %(ratio).2f", rows[-1])
    return rows


def turn(modules: dict[str, nn.Module], x: Tensor) -> dict[tuple[str, str], float]:
    """Seconds of every module, forward alone and with the backward, one after the other."""
    seconds = {}
    for name, module in modules.items():
        with torch.no_grad():
            seconds[name, "forward"] = timed(lambda m=module: m(x))
        seconds[name, "both"] = timed(training(module, x))
    return seconds


def exponent(rows: list[dict], name: str, key: str) -> float:
    """p of time ~ Tᵖ between the two lengths of GROWTH."""
    values = [r[key] for T in GROWTH for r in rows if (r["mechanism"], r["length"]) == (name, T)]
    return math.log(values[1] / values[0]) / math.log(GROWTH[1] / GROWTH[0])


def growth(rows: list[dict], branch: dict[int, float]) -> list[dict]:
    """Growth exponents with a target; `branch` holds the local branch's milliseconds by length."""
    short, long = GROWTH
    slope = math.log(branch[long] / branch[short]) / math.log(long / short)
    between = f"between T = {short} and {long}"
    found = [
        row(f"growth of the local branch's time {between}", slope, None, "", "", slope, "<= 1.1")
    ]
    for name in ("focused", "local"):
        if rows[0]["peak_mib"] is None:
            continue
        slope = exponent(rows, name, "peak_mib")
        label = f"growth of the peak memory of {name} {between}"
        found.append(row(label, slope, None, "", "", slope, "<= 1.1"))
    return found


def flex_focus(q: Tensor, k: Tensor, v: Tensor, span: Tensor, temperature: Tensor, ramp: int):
    """The focused window as FlexAttention: q, k, v (B, H, T, K), span and temperature (B, H, 1)."""

    def soft(score, b, h, i, j):
        inside = (span[b, h, 0] - (i - j).abs()) / ramp + 1
        return score + inside.clamp(1e-6, 1).log()

    def near(b, h, i, j):
        return (span[b, h, 0] - (i - j).abs()) / ramp + 1 > 0

    B, H, T, _ = q.shape
    mask = create_block_mask(near, B, H, T, T, device=q.device)
    attend = torch.compile(flex_attention) if q.is_cuda else flex_attention
    return attend(q / temperature[..., None], k, v, score_mod=soft, block_mask=mask)


def flex(T: int, rounds: int) -> list[dict]:
    """FlexAttention agrees with the windowed path; on CUDA it is timed against it as well."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    T = T if device.type == "cuda" else 200
    branch = LocalBranch().to(device)
    q, k, v = (x.detach().to(device) for x in heads(T))

    def flexible():
        spans = branch.focus.predict(v, None, T=T, causal=False)
        return flex_focus(q, k, v, *spans, branch.focus.config.ramp)

    def windowed():
        return branch(q, k, v)

    with torch.no_grad():
        assert_close(flexible(), windowed(), rtol=1e-3, atol=1e-4)
        if device.type != "cuda":
            return []
        both = (lambda f=f: (f(), torch.cuda.synchronize()) for f in (flexible, windowed))
        seconds = in_turns(*both, rounds)
    return [slower_than(f"FlexAttention, forward, T = {T}", 1.0, seconds, "windowed path")]


def measure(quick: bool) -> dict:
    lengths = QUICK_LENGTHS if quick else LENGTHS
    rounds = 2 if quick else 5
    long = SHORT if quick else LONG
    torch.manual_seed(0)
    rows = []

    def add(*found: dict) -> None:
        rows.extend(found)
        for one in found:
            log.info("%(name)s: %(ours)g %(unit)s, ratio %(ratio)g (%(target)s)", one)

    add(*flex(long, rounds))
    add(local_branch(long, rounds))
    for T, target in {SHORT: 1.0, **({} if quick else {LONG: 2.0})}.items():
        add(local(T, target, False, 3 * rounds))
        add(local(T, 1.0, True, 3 * rounds))
    for T in ROUTED_LENGTHS[: 1 if quick else None]:
        add(mixture(T, rounds))
    timings = table(lengths, rounds if quick else ROUNDS)
    add(*(hybrid(timings, T) for T in lengths), hybrid_against_published(timings, long))
    if not quick:
        run = {T: training(LocalBranch(), *heads(T)) for T in GROWTH}
        branch = {T: 1000 * statistics.median(timed(f) for _ in range(5)) for T, f in run.items()}
        add(*growth(timings, branch))
    return {"rows": rows, "timings": timings}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="short sequences, few rounds, no file")
    parser.add_argument("--threads", type=int, default=THREADS)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    measured = measure(options.quick)
    if not options.quick:
        hardware = describe(torch.device("cpu"), options.threads)
        write_json(OUTPUT, {"hardware": hardware, "torch": torch.__version__, **measured})


if __name__ == "__main__":
    main()
