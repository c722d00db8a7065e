"""The cost of every attention mechanism against length, and against the peers where there is one.

    python benchmarks/mechanisms.py              # all, or what is left of it
    python benchmarks/mechanisms.py --only delta entmax --minutes 5

Self-attention without causality, one item of Echo's width and heads, default settings, one thread:
forward (evaluated, without gradients), forward and backward, the peak of memory of the latter, and,
where the mechanism can hide the future, one step of decoding after so many positions. A mechanism
and length have a process of their own, so that memory is theirs alone. A length is left out, with
the reason, where the growth so far predicts more than the limits of time or memory.

The formula is counted, not written down: `gmul` are the multiplications of all matrix products and
convolutions, `gwritten` the numbers that all operations write, forward and backward, each as
executed. Time is about a sum of the two, so the greater exponent of both bounds its own. Exponents
are least squares of logarithms over the repeats from the lengths of `GROWTH` on, with the t
interval of 95 %; it knows of the noise within a run alone.

Rows: exponents at most 1.15 for linear mechanisms and memories, and at most 0.15 above the counted
one for sparse ones; steps of recurrent ones as quick after the longest past as after the shortest;
packages, which do the same work in turns after their outputs were compared; and layers of the
same projections around PyTorch's scaled_dot_product_attention (`sdpa`), with the length from which
a mechanism is quicker than those (`crossings`). Windows are compared with local-attention and
routing with colt5-attention in benchmarks/attention.py.

Every part is saved in results/mechanisms.json when it is done, and done again if the mechanism's
sources have changed; to measure all again, delete the file. `--quick` tries it in small sizes, in
build/.
"""

import argparse
import gc
import logging
import math
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import entmax as entmax_package
import torch
import torch.nn.functional as F
from attention import in_turns, row, slower_than, timed, training
from gaussian_adaptive_attention import MultiHeadGaussianAdaptiveAttention
from scipy.stats import linregress
from scipy.stats import t as student
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from x_transformers.attend import Attend
from x_transformers.x_transformers import AlibiPositionalBias, Attention, DataDependentAlibi

from focused_attention import attention, results, sources
from focused_attention.attention import KeyValueCache, Mechanism
from focused_attention.attention.softmax.entmax import entmax
from focused_attention.errors import UserError, run
from focused_attention.paths import RESULTS
from focused_attention.runs.device import describe

OUTPUT = RESULTS / "mechanisms.json"
QUICK = Path("build/mechanisms.json")
SDPA = "sdpa"  # PyTorch's, as a layer
KINDS = ("forward", "both")  # without gradients, and with the backward
LINEAR, SPARSE, PEER, STEADY = 1.15, 0.15, 1.5, 1.25  # the targets
APART = multiprocessing.get_context("fork")  # modules are imported once
FORMULAS = flop_registry | {  # multiply-adds times two, by operation
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        torch.ops.aten._scaled_dot_product_flash_attention
    ],
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        torch.ops.aten._scaled_dot_product_flash_attention_backward
    ],
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    dims: int = 64
    heads: int = 8
    lengths: tuple[int, ...] = (500, 1000, 1500, 3000, 6000, 12000)
    growth: int = 1500  # exponents are taken from this length on
    peers: tuple[int, ...] = (500, 1500)
    seconds: float = 10.0  # that a forward and backward may take
    gibibytes: float = 8.0  # that it may add to a process
    patience: float = 0.25  # seconds for the repeats of one number, of which there are at least 3,
    slow: float = 2.0  # or 2, where a run takes more seconds than this,
    repeats: int = 15  # and at most so many
    threads: int = 1


SMALL = Sizes(
    dims=16, heads=2, lengths=(20, 45), growth=20, peers=(20,), patience=0.0, repeats=3
)  # fmt: skip


class Plain(nn.Module):
    """Projections as every mechanism has them, and PyTorch's attention of all to all."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.heads = sizes.heads
        self.query, self.key, self.value, self.out = (
            nn.Linear(sizes.dims, sizes.dims, bias=bias) for bias in (True, False, True, True)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = (part(x) for part in (self.query, self.key, self.value))
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in parts)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Counted(TorchDispatchMode):
    """Counts what is executed: multiplications of products and convolutions, numbers written."""

    def __init__(self):
        super().__init__()
        self.multiplied = self.written = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if formula := FORMULAS.get(func.overloadpacket):
            self.multiplied += formula(*args, **kwargs, out_val=out) // 2
        if not func.is_view:
            self.written += sum(x.numel() for x in tree_leaves(out) if isinstance(x, Tensor))
        return out


def apart(gibibytes: float, work: Callable[..., dict], *given) -> dict:
    """What `work` returns in a copy of this process that may grow by so much; or why it did not."""
    ours, theirs = APART.Pipe(duplex=False)
    child = APART.Process(target=answer, args=(theirs, gibibytes, work, *given))
    child.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        found = {"reason": "its process was ended"}
    child.join()
    return found


def answer(theirs, gibibytes: float, work: Callable[..., dict], *given) -> None:
    """In the copy: work within the limit, and send what comes of it."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (used + int(gibibytes * 2**30), most))
    try:
        found = work(*given)
    except Exception as error:  # whatever it is, the other mechanisms are measured
        first = (str(error).strip().splitlines() or ["no reason given"])[0]
        full = isinstance(error, MemoryError) or "allocate memory" in first
        found = {"reason": f"takes more than {gibibytes:g} GiB" if full else
                           f"{type(error).__name__}: {first}"}  # fmt: skip
    theirs.send(found)


def peak() -> float:
    """MiB that this process has held at most."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def frames(T: int, sizes: Sizes) -> Tensor:
    return torch.randn(1, T, sizes.dims, generator=torch.Generator().manual_seed(T))


def built(name: str, sizes: Sizes, causal: bool = False) -> nn.Module:
    torch.manual_seed(0)
    if name == SDPA:
        return Plain(sizes)
    return attention.build(name, dims=sizes.dims, heads=sizes.heads, causal=causal)


def repeated(one: Callable, sizes: Sizes) -> list[float]:
    """Milliseconds of a few runs, and of more while there is patience."""
    taken, end = [], time.perf_counter() + sizes.patience
    while len(taken) < sizes.repeats:
        taken.append(1000 * timed(one))
        least = 3 if max(taken) < 1000 * sizes.slow else 2
        if len(taken) >= least and time.perf_counter() > end:
            break
    return taken


def whole(name: str, T: int, sizes: Sizes) -> dict:
    """A sequence of T: milliseconds, what is counted, peak memory."""
    module = built(name, sizes)
    training(module, frames(min(64, T), sizes).requires_grad_())()  # what is loaded at first use
    x = frames(T, sizes).requires_grad_()
    step = training(module, x)
    gc.collect()
    before = peak()
    with Counted() as counted:
        step()
    found = {"peak_mib": peak() - before}
    found |= {"gmul": 1e-9 * counted.multiplied, "gwritten": 1e-9 * counted.written}
    both = repeated(step, sizes)
    module.eval()
    with torch.inference_mode():
        forward = repeated(lambda: module(x), sizes)
    for kind, taken in zip(KINDS, (forward, both), strict=True):
        found |= {f"{kind}_ms": statistics.median(taken), f"{kind}_all": taken}
    return found


def decoding(name: str, T: int, sizes: Sizes) -> dict:
    """A step after T positions: its milliseconds, and the size of the state."""
    module = built(name, sizes, causal=True).eval()
    with torch.inference_mode():
        state = after(module, frames(T, sizes))
        x = frames(1, sizes)
        module(x, state=state)
        taken = repeated(lambda: module(x, state=state), sizes)
    held = [part for part in vars(state).values() if isinstance(part, Tensor)]
    held = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in held}
    return {"step_ms": statistics.median(taken), "state_mib": sum(held.values()) / 2**20}


def after(module: Mechanism, x: Tensor, piece: int = 500) -> attention.State:
    """The state of a layer that has decoded x (1, T, D)."""
    state = module.new_state()
    if type(state) is KeyValueCache and type(module).forward is Mechanism.forward:
        module.project(x, None, state)  # keys and values are all that it keeps
    else:
        for part in x.split(piece, dim=1):
            module(part, state=state)
    return state


def predicted(cells: list[dict], key: str, T: int) -> float:
    """A mechanism's number at length T, by its growth between the lengths that are measured."""
    known = [(c["length"], c[key]) for c in cells if c.get(key) and c["length"] < T]
    if not known:
        return 0.0
    *shorter, (last, value) = known
    power = 2.0
    if shorter:
        length, less = shorter[-1]
        power = min(2.0, max(1.0, math.log(value / less) / math.log(last / length)))
    return value * (T / last) ** power


def reason_against(cells: list[dict], T: int, sizes: Sizes) -> str | None:
    """Why a sequence of T is not tried, from the cells of the lengths before."""
    seconds = predicted(cells, "both_ms", T) / 1000
    gibibytes = predicted(cells, "peak_mib", T) / 2**10
    if seconds > sizes.seconds:
        return f"predicted {seconds:.0f} s, more than {sizes.seconds:g}"
    if gibibytes > sizes.gibibytes:
        return f"predicted {gibibytes:.0f} GiB, more than {sizes.gibibytes:g}"
    return None


def cell(name: str, T: int, shorter: list[dict], sizes: Sizes) -> dict:
    """All numbers of a mechanism at a length, or the reason why there are none."""
    family = "torch" if name == SDPA else attention.names()[name].parent.name
    found = {"mechanism": name, "family": family, "length": T, "reason": None}
    if reason := reason_against(shorter, T, sizes):
        found["reason"] = reason
    else:
        found |= apart(sizes.gibibytes, whole, name, T, sizes)
    if name != SDPA and attention.load(name)[1].causal:
        step = apart(sizes.gibibytes, decoding, name, T, sizes)
        found |= {"step_reason": step.pop("reason", None), **step}
    return found


class Through(nn.Module):
    """A mechanism's own projections with a package's function between them."""

    def __init__(self, own: Mechanism, function: Callable[..., Tensor]):
        super().__init__()
        self.own, self.function = own, function

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = Mechanism.project(self.own, x, None)
        return self.own.out(self.function(x, q, k, v).transpose(1, 2).flatten(2))


class Rows(nn.Module):
    """A function of rows of scores as a module without weights."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, scores: Tensor) -> Tensor:
        return self.function(scores)


def layer_peers(sizes: Sizes) -> dict[str, Callable[[], tuple[str, nn.Module, nn.Module]]]:
    """A package, our layer and the package's with the same weights, by name."""
    size = {"dims": sizes.dims, "heads": sizes.heads}

    def through(name: str, options: dict, settings: dict | None = None):
        own = attention.build(name, **size, **(settings or {}))
        attend = Attend(heads=sizes.heads, **options)
        return "x-transformers", own, Through(own, lambda x, q, k, v: attend(q, k, v)[0])

    def biased(name: str, bias: nn.Module, given: Callable, settings: dict | None = None):
        own, attend = attention.build(name, **size, **(settings or {})), Attend(flash=True)

        def function(x, q, k, v):
            return attend(q, k, v, attn_bias=given(bias, x))[0]

        return "x-transformers", own, Through(own, function)

    def alibi():
        bias = AlibiPositionalBias(sizes.heads)
        given = lambda bias, x: bias(x.shape[1], x.shape[1])  # noqa: E731
        return biased("windowed", bias, given, {"positions": "alibi"})

    def forgetting():
        bias = DataDependentAlibi(sizes.dims, sizes.heads, causal=False)
        package, own, peer = biased("forgetting", bias, lambda bias, x: bias(x))
        gates = dict(bias.named_parameters())
        for name, ours in own.gate.named_parameters():  # behind and ahead of a head, there of all
            ordered = ours.data.unflatten(0, (sizes.heads, -1)).transpose(0, 1).flatten(0, 1)
            gates[f"to_forget_gates.0.{name}"].data.copy_(ordered)
        return package, own, peer

    def whole_layer(name: str, options: dict, extra: dict, settings: dict | None = None):
        own = attention.build(name, **size, **(settings or {}))
        peer = Attention(sizes.dims, dim_head=sizes.dims // sizes.heads, heads=sizes.heads,
                         flash=True, **options)  # fmt: skip
        pairs = {"query": "to_q", "key": "to_k", "value": "to_v", "out": "to_out", **extra}
        with torch.no_grad():
            for ours, theirs in pairs.items():
                getattr(peer, theirs).weight.copy_(getattr(own, ours).weight)
                if (bias := getattr(own, ours).bias) is not None:
                    bias.zero_()  # it has none
        return "x-transformers", own, peer

    def key_bias():
        package, own, peer = whole_layer("key_bias", {"num_mem_kv": 1}, {})
        peer.mem_k.data.copy_(own.key_bias.data[:, None])
        peer.mem_v.data.zero_()
        return package, own, peer

    def gaussian():
        own = attention.build("gaussian", **size)
        own.c.data.mul_(2)  # flat enough that no sum is below the package's bound
        peer = MultiHeadGaussianAdaptiveAttention(1, *own.c.shape)
        for head, delta, c in zip(peer.attention_heads, own.delta, own.c, strict=True):
            head.mean_offsets.data, head.c.data = delta.data.clone(), c.data.clone()
        return "gaussian-adaptive-attention", own, peer

    return {
        "topk": lambda: through("topk", {"sparse_topk": 8}),
        "sigmoid": lambda: through("sigmoid", {"sigmoid": True}),
        "elu": lambda: through("elu", {"custom_attn_fn": lambda scores: F.elu(scores) + 1}),
        "null_key": lambda: through("null_key", {"add_zero_kv": True, "flash": True}),
        "null_key, learned": lambda: through(
            "null_key", {"head_learned_sink": True}, {"learned": True}
        ),
        "key_bias": key_bias,
        "gated": lambda: whole_layer("gated", {"gate_values": True}, {"gate": "to_v_gate"}),
        "windowed, ALiBi": alibi,
        "forgetting": forgetting,
        "gaussian": gaussian,
    }


def row_peers() -> dict[str, tuple[Callable, Callable]]:
    """Our function of scores and the package entmax's, by name."""
    bisected = partial(entmax_package.entmax_bisect, alpha=1.3, dim=-1)
    return {
        "entmax, rows, α 1.5": (partial(entmax, alpha=1.5), entmax_package.entmax15),
        "entmax, rows, α 2": (partial(entmax, alpha=2.0), entmax_package.sparsemax),
        "entmax, rows, α 1.3": (partial(entmax, alpha=1.3), bisected),
    }


def against(name: str, T: int, sizes: Sizes) -> dict:
    """The row of a mechanism and a package, forward and backward, after outputs were compared."""
    torch.manual_seed(0)
    if name in row_peers():
        package, (ours, theirs) = "entmax", (Rows(f) for f in row_peers()[name])
        x = torch.randn(1, sizes.heads, T, T).requires_grad_()
    else:
        package, ours, theirs = layer_peers(sizes)[name]()
        x = frames(T, sizes).requires_grad_()
    with torch.no_grad():
        found = ours(x)
        assert_close(getattr(found, "out", found), theirs(x), rtol=1e-4, atol=1e-4)
    rounds = min(sizes.repeats, 2 if T > 1000 else 5)
    seconds = in_turns(training(ours, x), training(theirs, x), rounds)
    label = f"{name}, forward and backward, T = {T}"
    return slower_than(label, PEER, seconds, f"{package} {version(package)}")


def growth(cells: list[dict], sizes: Sizes) -> Iterator[dict]:
    """The exponents of every mechanism's time, with the counted ones."""
    for name in dict.fromkeys(c["mechanism"] for c in cells):
        own = [c for c in cells if c["mechanism"] == name and c["length"] >= sizes.growth]
        own = [c for c in own if c.get("both_ms")]
        if len(own) < 2:
            continue
        lengths = [c["length"] for c in own]
        found = {"mechanism": name, "family": own[0]["family"]}
        found |= {"from": lengths[0], "to": lengths[-1]}
        for key in ("gmul", "gwritten", "peak_mib"):
            points = [(T, c[key]) for T, c in zip(lengths, own, strict=True) if c[key] > 0]
            found[key] = exponent(points)[0] if len(points) > 1 else None
        for kind in KINDS:
            points = [(c["length"], ms) for c in own for ms in c[f"{kind}_all"]]
            found |= dict(zip((kind, f"{kind}_low", f"{kind}_high"), exponent(points), strict=True))
        yield found


def exponent(points: list[tuple[int, float]]) -> tuple[float, float, float]:
    """p of y ~ Tᵖ by least squares of logarithms, and the 95 % interval."""
    fit = linregress(*zip(*((math.log(T), math.log(y)) for T, y in points), strict=True))
    freedom = len(points) - 2
    away = fit.stderr * student.ppf(0.975, freedom) if freedom > 0 else math.nan
    return tuple(float(p) for p in (fit.slope, fit.slope - away, fit.slope + away))


def growth_rows(grown: list[dict]) -> Iterator[dict]:
    for one in grown:
        between = f"forward and backward, T = {one['from']} to {one['to']}"
        counted = max(one[key] for key in ("gmul", "gwritten") if one[key] is not None)
        label = f"exponent of {one['mechanism']}, {between}"
        if one["family"] in ("linear", "memory"):
            yield row(label, one["both"], counted, "counted", "", one["both"], f"<= {LINEAR}")
        elif one["family"] == "sparse":
            above = one["both"] - counted
            yield row(f"{label}, above the counted one", one["both"], counted, "counted", "", above,
                      f"<= {SPARSE}")  # fmt: skip


def step_rows(cells: list[dict]) -> Iterator[dict]:
    """Whether a recurrent mechanism's step is as quick after the longest past."""
    for name in attention.names():
        own = [c for c in cells if c["mechanism"] == name and c.get("step_ms")]
        if len(own) < 2 or not attention.load(name)[1].recurrent:
            continue
        first, last = own[0], own[-1]
        label = f"a step of {name} after {last['length']} positions"
        yield row(label, last["step_ms"], first["step_ms"], f"after {first['length']}", "ms",
                  last["step_ms"] / first["step_ms"], f"<= {STEADY}")  # fmt: skip


def against_sdpa(cells: list[dict]) -> tuple[list[dict], list[dict]]:
    """Linear mechanisms, memories and plain attention against PyTorch's: rows, and crossings."""
    ms = {(c["mechanism"], c["length"]): c for c in cells if c.get("both_ms")}
    rows, crossings = [], []
    for name, path in attention.names().items():
        family = path.parent.name
        shared = [T for (one, T) in ms if one == name and (SDPA, T) in ms]
        if not shared or (family not in ("linear", "memory", "sparse") and name != "whisper"):
            continue
        for kind in KINDS:
            pairs = [(T, *(ms[one, T][f"{kind}_ms"] for one in (name, SDPA))) for T in shared]
            crossings.append({"mechanism": name, "family": family, "kind": kind,
                              "quicker_from": crossing(pairs)})  # fmt: skip
        T, *seconds = pairs[-1]
        if family != "sparse":
            rows.append(slower_than(f"{name}, forward and backward, T = {T}", PEER,
                                    tuple(s / 1000 for s in seconds), f"{SDPA}, torch "
                                    f"{torch.__version__}"))  # fmt: skip
    return rows, crossings


def crossing(pairs: list[tuple[int, float, float]]) -> float | None:
    """The length from which on the first time is the lesser, along straight lines of logarithms.

    The shortest length if it always is, None if it is not at the longest.
    """
    ratios = [(T, math.log(ours / theirs)) for T, ours, theirs in pairs]
    slower = [i for i, (_, ratio) in enumerate(ratios) if ratio >= 0]
    if not slower:
        return float(ratios[0][0])
    if slower[-1] == len(ratios) - 1:
        return None
    (T, above), (longer, below) = ratios[slower[-1] : slower[-1] + 2]
    return T * (longer / T) ** (above / (above - below))


@dataclass
class Record:
    """What is measured, in the file of results, which is written whole each time."""

    path: Path
    sizes: Sizes
    cells: dict[tuple[str, int], dict] = field(default_factory=dict)
    peers: dict[str, dict] = field(default_factory=dict)

    def __post_init__(self):
        self.about = {
            "hardware": describe(torch.device("cpu"), self.sizes.threads),
            "torch": torch.__version__,
            "sizes": results.rounded({k: getattr(self.sizes, k) for k in self.sizes.__slots__}),
        }
        self.about["sizes"] |= {k: list(self.about["sizes"][k]) for k in ("lengths", "peers")}
        before = results.read_json(self.path) if self.path.exists() else {}
        if any(before.get(key) != value for key, value in self.about.items()):
            return  # another machine's, or another size's
        known = set(attention.names()) | {SDPA}
        for one in before["timings"]:
            if one["mechanism"] in known and one["of"] == mark(one["mechanism"]):
                self.cells[one["mechanism"], one["length"]] = one
        for name, one in before["peers"].items():
            if one["of"] == mark(name.partition(",")[0]):
                self.peers[name] = one

    def save(self) -> None:
        order = [*attention.names(), SDPA]
        cells = sorted(
            self.cells.values(), key=lambda c: (order.index(c["mechanism"]), c["length"])
        )
        grown = list(growth(cells, self.sizes))
        rows, crossings = against_sdpa(cells)
        peers = [one["row"] for one in self.peers.values() if one["row"].get("name")]
        rows = [*growth_rows(grown), *step_rows(cells), *rows, *peers]
        more = {"rows": rows, "growth": grown, "crossings": crossings, "timings": cells}
        results.write_json(self.path, self.about | more | {"peers": self.peers})


def mark(name: str) -> str:
    """Changes when a mechanism has to be measured again."""
    if name == SDPA:
        return torch.__version__
    return sources.revision([attention.names()[name].relative_to(sources.PACKAGE).as_posix()])


def work(record: Record, names: list[str], end: float) -> bool:
    """Do what is left until the time is up; whether all is done."""
    sizes = record.sizes
    every = {**layer_peers(sizes), **row_peers()}
    for name in names:
        for T in sizes.lengths:
            if (name, T) in record.cells:
                continue
            if time.monotonic() > end:
                return False
            shorter = [c for (n, length), c in record.cells.items() if n == name and length < T]
            one = cell(name, T, sorted(shorter, key=lambda c: c["length"]), sizes)
            record.cells[name, T] = results.rounded(one | {"of": mark(name)})  # as it is read again
            shown = {k: one.get(k) or math.nan for k in ("forward_ms", "both_ms", "step_ms")}
            log.info("%s, T = %d: forward %.3g, with backward %.3g, step %.3g ms %s", name, T,
                     *shown.values(), one["reason"] or "")  # fmt: skip
        record.save()
    for name in every:
        own = name.partition(",")[0]
        for T in sizes.peers if own in names else ():
            label = f"{name}, T = {T}"
            if label in record.peers:
                continue
            if time.monotonic() > end:
                return False
            one = apart(sizes.gibibytes, against, name, T, sizes)
            record.peers[label] = results.rounded({"of": mark(own), "row": one})
            log.info("%s: ratio %s %s", label, one.get("ratio"), one.get("reason", ""))
            record.save()
    return True


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=[*attention.names(), SDPA], metavar="NAME")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing after them")
    parser.add_argument("--quick", action="store_true", help=f"small sizes, in {QUICK}")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sizes = SMALL if options.quick else Sizes()
    torch.set_num_threads(sizes.threads)
    record = Record(QUICK if options.quick else OUTPUT, sizes)
    names = options.only or [SDPA, *attention.names()]
    if not work(record, names, time.monotonic() + 60 * options.minutes):
        log.info("something is left: run this again")
    if failed := [name for name, one in record.peers.items() if "name" not in one["row"]]:
        raise UserError(f"{record.path}: no comparison of {'; '.join(failed)}: see `peers` there")


if __name__ == "__main__":
    run(main)
