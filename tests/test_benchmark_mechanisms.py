"""The benchmark of every mechanism in small sizes: what it counts, leaves out, keeps and judges."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from focused_attention import attention, results

ROOT = Path(__file__).parents[1]
COMMAND = ROOT / "benchmarks" / "mechanisms.py"
KEYS = {"name", "ours", "peer", "peer_version", "unit", "ratio", "target", "holds"}
TRIED = ["sdpa", "whisper", "topk", "normalised", "local", "gaussian"]


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(COMMAND.parent))
    try:
        spec = importlib.util.spec_from_file_location("mechanisms", COMMAND)
        module = importlib.util.module_from_spec(spec)
        sys.modules["mechanisms"] = module  # what a process of its own runs is found by this name
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(COMMAND.parent))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What the command writes about a few mechanisms, in a process that has one thread alone."""
    folder = tmp_path_factory.mktemp("bench")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(COMMAND), "--quick", "--only", *TRIED], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "build" / "mechanisms.json"


def test_every_number_is_there(bench, written):
    content = json.loads(written.read_text())
    assert {(c["mechanism"], c["length"]) for c in content["timings"]} == {
        (name, T) for name in TRIED for T in bench.SMALL.lengths
    }
    for one in content["timings"]:
        assert one["reason"] is None
        assert min(one[k] for k in ("forward_ms", "both_ms", "gmul", "gwritten")) > 0
        assert one["peak_mib"] >= 0
        causal = one["mechanism"] in ("whisper", "topk", "normalised", "local")
        assert ("step_ms" in one) == causal
    assert {one["mechanism"] for one in content["growth"]} == set(TRIED)


def test_the_rows_are_complete(written):
    content = json.loads(written.read_text())
    assert all(row.keys() == KEYS for row in content["rows"])
    assert [row["name"].partition(",")[0] for row in content["rows"]] == [
        "exponent of normalised",
        "exponent of local",
        "a step of normalised after 45 positions",
        "whisper",
        "normalised",
        "topk",
        "gaussian",
    ]
    found = [(one["mechanism"], one["kind"]) for one in content["crossings"]]
    names = ("whisper", "normalised", "local")
    assert found == [(name, kind) for name in names for kind in ("forward", "both")]


def test_what_is_done_is_not_done_again_unless_its_sources_change(bench, written, monkeypatch):
    record = bench.Record(written, bench.SMALL)
    before = written.read_text()

    def measured(*given):
        raise AssertionError(f"measured again: {given[0]}")

    monkeypatch.setattr(bench, "cell", measured)
    monkeypatch.setattr(bench, "apart", measured)
    assert bench.work(record, TRIED, math.inf)
    assert json.loads(written.read_text()) == json.loads(before)
    monkeypatch.setattr(bench, "mark", lambda name: "changed" if name == "topk" else "same")
    content = json.loads(before)
    for one in (*content["timings"], *content["peers"].values()):
        one["of"] = "same"
    changed = written.with_name("changed.json")
    results.write_json(changed, content)
    record = bench.Record(changed, bench.SMALL)
    assert {name for name, _ in record.cells} == set(TRIED) - {"topk"}
    assert list(record.peers) == ["gaussian, T = 20"]
    assert not bench.Record(changed, bench.Sizes()).cells  # of another size


def test_multiplications_are_counted_as_they_are_executed(bench):
    T, D = 30, 16
    module = bench.built("sdpa", bench.SMALL)
    x = bench.frames(T, bench.SMALL)
    with torch.no_grad(), bench.Counted() as counted:
        module(x)
    assert counted.multiplied == 4 * T * D * D + 2 * T * T * D
    with bench.Counted() as counted:
        torch.ones(3, 5).add(1).view(15).exp()
    assert (counted.multiplied, counted.written) == (0, 3 * 15)


@pytest.mark.parametrize("name", [n for n in attention.names() if attention.load(n)[1].causal])
def test_a_state_is_that_of_the_positions_before(bench, name):
    module = bench.built(name, bench.SMALL, causal=True).eval()
    x = bench.frames(15, bench.SMALL)
    with torch.inference_mode():
        step = module(x[:, -1:], state=bench.after(module, x[:, :-1], piece=6)).out
        torch.testing.assert_close(step, module(x).out[:, -1:], rtol=0, atol=1e-5)


def test_a_length_that_would_take_too_much_is_left_out_with_the_reason(bench):
    def known(power, ms=1000.0, mib=100.0):
        return [{"length": T, "both_ms": ms * (T / 1000) ** power,
                 "peak_mib": mib * (T / 1000) ** power} for T in (1000, 2000)]  # fmt: skip

    sizes = bench.Sizes(seconds=10.0, gibibytes=2.0)
    assert bench.predicted(known(1.5), "both_ms", 8000) == pytest.approx(1000 * 8**1.5)
    assert bench.predicted(known(3.0), "both_ms", 4000) == pytest.approx(8000 * 4)  # at most 2
    assert bench.reason_against([], 12000, sizes) is None
    assert bench.reason_against(known(1), 9000, sizes) is None
    assert bench.reason_against(known(2), 4000, sizes) == "predicted 16 s, more than 10"
    memory = bench.reason_against(known(2, ms=1.0), 8000, sizes)
    assert memory == "predicted 6 GiB, more than 2"


def test_a_process_that_fails_or_is_ended_gives_the_reason(bench):
    def fails():
        raise ValueError("no\nway")

    assert bench.apart(8, lambda: {"ms": 1}) == {"ms": 1}
    assert bench.apart(8, fails) == {"reason": "ValueError: no"}
    assert bench.apart(8, lambda: os._exit(9)) == {"reason": "its process was ended"}
    if sys.platform == "linux":
        full = bench.apart(0.5, lambda: {"n": bytearray(2**30)})
        assert full == {"reason": "takes more than 0.5 GiB"}


def test_an_exponent_is_found_with_its_interval(bench):
    slope, low, high = bench.exponent([(T, 3e-4 * T**1.7) for T in (10, 20, 40, 80)])
    assert (slope, low, high) == pytest.approx((1.7, 1.7, 1.7))
    noisy = [(T, T**1.7 * f) for T in (10, 20, 40) for f in (0.8, 1.25)]
    slope, low, high = bench.exponent(noisy)
    assert low < 1.7 < high
    assert slope == pytest.approx(1.7)


def test_from_where_on_one_is_quicker(bench):
    def pairs(*ratios):
        return [(100 * 2**i, ratio, 1.0) for i, ratio in enumerate(ratios)]

    assert bench.crossing(pairs(0.9, 0.5)) == 100
    assert bench.crossing(pairs(4.0, 2.0)) is None
    assert bench.crossing(pairs(2.0, 0.5, 0.1)) == pytest.approx(100 * 2**0.5)
    assert bench.crossing(pairs(0.5, 2.0, 0.5)) == pytest.approx(200 * 2**0.5)  # for good


@pytest.mark.parametrize("family", ["linear", "memory", "sparse", "softmax"])
def test_an_exponent_is_judged_by_its_family(bench, family):
    grown = {"mechanism": "a", "family": family, "from": 1500, "to": 12000, "gmul": 1.0}
    for both, written, holds in ((1.2, 1.1, [False, True]), (1.1, 0.9, [True, True])):
        found = list(bench.growth_rows([grown | {"both": both, "gwritten": written}]))
        expected = {"sparse": holds[1:], "softmax": []}.get(family, holds[:1])
        assert [row["holds"] for row in found] == expected
    above = list(bench.growth_rows([grown | {"both": 1.5, "gwritten": 1.1}]))
    assert [row["holds"] for row in above] == ([] if family == "softmax" else [False])
