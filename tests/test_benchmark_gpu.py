"""`make gpu` in small sizes on the CPU: it needs little, goes on where it stopped, finds faults."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from focused_attention import attention
from focused_attention.errors import UserError

ROOT = Path(__file__).parents[1]
COMMAND = ROOT / "benchmarks" / "gpu.py"
CUT = ("entropy_patches", "row_clusters", "segment_pointer")  # where sequences, by their numbers
WRITTEN = Path("build/gpu/benchmark-cpu.json")
KEYS = {"name", "ours", "peer", "peer_version", "unit", "ratio", "target", "holds"}
# what a GPU machine need not have
ALONE = f"""
import runpy, sys
for name in ("av", "colt5_attention", "dvc", "jiwer", "local_attention", "matplotlib", "pandas",
             "papermill", "rapidfuzz", "rapidfuzz.distance.Levenshtein", "ruamel", "scipy",
             "seaborn", "statsmodels", "tokenizers", "tqdm", "whisper", "whisper_normalizer"):
    sys.modules[name] = None
sys.argv[1:] = ["--device", "cpu", "--minutes", "5"]
sys.path.insert(0, {str(COMMAND.parent)!r})
runpy.run_path({str(COMMAND)!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def gpu():
    sys.path.insert(0, str(COMMAND.parent))
    try:
        spec = importlib.util.spec_from_file_location("gpu", COMMAND)
        module = importlib.util.module_from_spec(spec)
        sys.modules["gpu"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(COMMAND.parent))


@pytest.fixture
def bench(gpu, tmp_path, monkeypatch):
    """Two parts that say when they run; the second fails as long as it is told to."""
    monkeypatch.chdir(tmp_path)
    ran, broken = [], []

    def part(name):
        def rows(end):
            ran.append(name)
            if name in broken:
                raise RuntimeError("no\nmemory")
            return [gpu.row(name, 1.0, 2.0, "peer", "ms", target=1)]

        return gpu.Part(name, "as it is", rows)

    monkeypatch.setattr(gpu, "parts", lambda small, device: [part("first"), part("second")])
    return ran, broken


def bound(name):
    """How far gradients may be from double precision: rounded, a sequence may be cut elsewhere."""
    if "bfloat16" not in name:
        return 1e-4
    return 1.0 if any(f" {mechanism}," in name for mechanism in CUT) else 0.2


def test_every_part_runs_with_pytorch_numpy_pyyaml_and_safetensors_alone(tiny_store, tmp_path):
    shutil.copytree(Path(tiny_store._frames.filename).parent, tmp_path / "features")
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / WRITTEN).read_text())
    assert all(row.keys() == KEYS for row in content["rows"])
    assert content["failed"] == {}
    names = [row["name"] for row in content["rows"]]
    for mechanism in attention.names():
        for wanted in (f"agreement of {mechanism}, self, bfloat16, gradients", f"{mechanism}, T ="):
            assert any(name.startswith(wanted) for name in names), wanted
    windows = "window of 16 as FlexAttention", "window with a bias of 16 as SDPA in blocks"
    for wanted in (*windows, "echo trained in float32, digits", "smoke"):
        assert any(name.startswith(wanted) for name in names), wanted
    errors = [row for row in content["rows"] if row["unit"] == "relative error"]
    assert all(row["holds"] for row in errors)  # a CPU agrees with itself
    assert {row["name"] for row in errors if row["peer"] >= bound(row["name"])} == set()


def test_what_is_done_is_not_done_again(gpu, bench):
    ran, _ = bench
    gpu.main(["--device", "cpu", "--minutes", "-1"])
    assert ran == []
    for _ in range(2):
        gpu.main(["--device", "cpu"])
    assert ran == ["first", "second"]
    assert [row["name"] for row in json.loads(WRITTEN.read_text())["rows"]] == ran


def test_a_part_that_fails_is_named_and_done_next_time(gpu, bench):
    ran, broken = bench
    broken.append("first")
    with pytest.raises(UserError, match="1 parts failed"):
        gpu.main(["--device", "cpu"])
    content = json.loads(WRITTEN.read_text())
    assert content["failed"] == {"first": "RuntimeError: no"}
    assert [part["name"] for part in content["parts"]] == ["second"]
    broken.clear()
    gpu.main(["--device", "cpu"])
    assert ran == ["first", "second", "first"]
    content = json.loads(WRITTEN.read_text())
    assert content["failed"] == {}
    assert [row["name"] for row in content["rows"]] == ["first", "second"]


def test_a_part_whose_sources_changed_and_those_of_another_machine_are_done_again(gpu, bench):
    ran, _ = bench
    gpu.main(["--device", "cpu"])
    content = json.loads(WRITTEN.read_text())
    content["parts"][0]["of"] = "as it was"
    WRITTEN.write_text(json.dumps(content))
    gpu.main(["--device", "cpu"])
    assert ran == ["first", "second", "first"]
    WRITTEN.write_text(json.dumps(content | {"hardware": "another"}))
    gpu.main(["--device", "cpu"])
    assert ran == ["first", "second", "first", "first", "second"]


def test_a_training_that_outlasts_the_time_leaves_its_part_to_be_done(gpu, bench, monkeypatch):
    def slow(end):
        raise gpu.TimeUpError

    todo = [gpu.Part("slow", "", slow), *gpu.parts(True, None)]
    monkeypatch.setattr(gpu, "parts", lambda small, device: todo)
    gpu.main(["--device", "cpu"])
    assert bench[0] == []  # nor is anything begun after it


def test_without_a_gpu_it_says_so_in_one_line(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"no CUDA device here; .* --device cpu") as raised:
        gpu.main([])
    assert "\n" not in str(raised.value)


def test_a_device_that_computes_something_else_is_found(gpu, monkeypatch):
    """Weights that differ by a hundredth on what passes for the GPU: beyond rounding."""
    import gpu_attention as measured

    honest, calls = measured.outcome, []

    def other(module, inputs, kind, device):
        calls.append(kind)
        on_gpu = calls.count(kind) % 2 == 1 and kind != "float64"  # asked for before the CPU
        if not on_gpu:
            return honest(module, inputs, kind, device)
        right = module.query.weight.data.clone()
        module.query.weight.data.mul_(1.01)
        found = honest(module, inputs, kind, device)
        module.query.weight.data.copy_(right)
        return found

    monkeypatch.setattr(measured, "outcome", other)
    rows = measured.agreement("whisper", measured.SMALL, torch.device("cpu"))
    held = {row["name"]: row["holds"] for row in rows}
    assert [ok for name, ok in held.items() if "float32" in name] == [False] * 6
    assert len(rows) == 12  # three uses, two precisions, forward and gradients
