"""The whole pipeline in miniature, in a copy of the working tree: `dvc repro` of profile smoke."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DVC = [sys.executable, "-m", "dvc"]
# kernels that every x86 processor has: they round differently from those that this one would take
OTHER_ARITHMETIC = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX2"}
ECHO_AGAIN = """
from focused_attention.stages import adapt, collect, evaluate, judge, measure, seek, train
for stage in (train, evaluate):
    stage.main(["echo", "--seed", "1"])
for stage in (seek, measure):
    for seed in ("1", "2"):
        stage.main(["echo", "--seed", seed])
for stage in (adapt, measure):
    stage.main(["echo-long", "--seed", "1"])
collect.main([])
judge.main([])
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone with what is uncommitted, and with the recordings if they were fetched before."""
    folder = tmp_path_factory.mktemp("end-to-end") / "clone"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    if (ROOT / "downloads").is_dir():
        shutil.copytree(ROOT / "downloads", folder / "downloads")
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "clone"],
        [sys.executable, "-m", "focused_attention.params", "smoke"],
    ):
        run(folder, *command)
    return folder


def run(folder: Path, *command: str, fails: bool = False, **variables: str) -> str:
    """Run a command in the clone, with the clone's package; its output, errors included."""
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": binaries, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "2"
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=environment | variables, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, f"{' '.join(command)}\n{done.stdout[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def reproduced(clone) -> Path:
    """Runs go two at a time, as `make reproduce` has them; the last command does what is left."""
    run(clone, *DVC, "repro", "arms", "prepare")
    side_by_side(clone, "seek", "train")
    side_by_side(clone, "adapt", "evaluate", "measure", "vary")
    run(clone, *DVC, "repro")
    return clone


def prepared(clone: Path) -> list[dict]:
    """The recordings in the feature store."""
    return json.loads((clone / "features" / "recordings.json").read_text())


def side_by_side(clone: Path, *stages: str) -> None:
    names = run(clone, *DVC, "stage", "list", "--name-only").split()
    chosen = " ".join(name for name in names if name.split("@")[0] in stages and "@" in name)
    waiting = f"{' '.join(DVC)} --wait-for-lock repro --quiet --single-item"
    command = f"echo {chosen} | xargs -n 1 -P 2 {waiting}"
    run(clone, "sh", "-c", command)


def test_every_stage_made_what_it_should(reproduced):
    results = reproduced / "results" / "smoke"
    data = json.loads((results / "data.json").read_text())
    (corpus,) = data["corpora"]
    parts = [split["recordings"] for split in corpus["splits"].values()]
    assert corpus["recordings"] == 568
    assert corpus["with_text"] == sum(parts) == len(prepared(reproduced)) == 551
    assert all(part > 40 for part in parts)
    summary = json.loads((results / "summary.json").read_text())
    assert summary["profile"] == "smoke"
    for arm in ("whisper", "echo"):
        assert (reproduced / "runs" / "smoke" / "train" / f"{arm}-1.safetensors").exists()
        assert summary[f"{arm}_digits_greedy_wer"] >= 0
        assert (results / "evaluate" / f"{arm}-1.csv").read_text().count("\n") > 12
    claims = json.loads((results / "verdicts.json").read_text())["claims"]
    assert [*claims] == ["C0", "C1a", "C1b", "C1c", "C2", "C3", "C4", "C5", "C6"]
    compared = {name for name, claim in claims.items() if claim.get("effect") is not None}
    assert compared >= {"C1a", "C1b", "C2", "C3", "C5"}  # and with so few seeds not judged
    varied = (results / "tables" / "variants.csv").read_text()
    assert all(f"\n{arm}," in varied for arm in ("echo", "echo-more", "vary-entmax"))
    answers = (results / "findings" / "answers.csv").read_text()
    assert all(f"\n{arm}," in answers for arm in ("echo", "echo-long"))
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        name = notebook.stem
        executed = json.loads((reproduced / f"notebooks/executed/{name}.ipynb").read_text())
        outputs = [o for cell in executed["cells"] for o in cell.get("outputs", [])]
        assert any("image/png" in o.get("data", {}) for o in outputs)
    assert (reproduced / "paper" / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert not list((reproduced / "checkpoints").rglob("*.safetensors"))


@pytest.fixture(scope="module")
def elsewhere(reproduced) -> Path:
    """The clone beside itself, with arm echo run again in another arithmetic."""
    folder = reproduced.with_name("elsewhere")
    for name in ("build", "results", "runs", "src"):
        shutil.copytree(reproduced / name, folder / name)
    params = yaml.safe_load((reproduced / "params.yaml").read_text())
    for study in ("train", "vary", "seek", "adapt"):
        params[study]["arithmetic"] = "native"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "features").symlink_to(reproduced / "features")
    run(folder, sys.executable, "-c", ECHO_AGAIN, **OTHER_ARITHMETIC)
    run_of_echo = "runs/smoke/seek/echo-1.safetensors"
    if (folder / run_of_echo).read_bytes() == (reproduced / run_of_echo).read_bytes():
        pytest.skip("this processor trains the same bytes in both arithmetics")
    return folder


def test_verdicts_and_checks_are_those_of_another_arithmetic(reproduced, elsewhere):
    check = [sys.executable, "-m", "focused_attention.stages.check", "--against"]
    kept = str(reproduced / "results" / "smoke")
    assert "within the tolerances" in run(elsewhere, *check, kept)
    path = elsewhere / "results" / "smoke" / "verdicts.json"
    judged = json.loads(path.read_text())
    before, judged["claims"]["C3"]["verdict"] = judged["claims"]["C3"]["verdict"], "refuted"
    path.write_text(json.dumps(judged))
    assert f"C3: {before} became refuted\n" in run(elsewhere, *check, kept, fails=True)


def test_a_second_run_does_nothing_within_ten_seconds(reproduced):
    began = time.monotonic()
    output = run(reproduced, *DVC, "repro")
    assert time.monotonic() - began < 10
    assert "Data and pipelines are up to date" in output


def test_a_mechanism_on_arrival_retrains_nothing(reproduced):
    folder = reproduced / "src/focused_attention/attention/softmax"
    newcomer = folder / "newcomer.py"
    newcomer.write_text((folder / "whisper.py").read_text())
    output = run(reproduced, *DVC, "repro", "train")
    newcomer.unlink()
    assert "Running stage 'arms'" in output
    assert "Running stage 'train" not in output


def test_an_arm_added_is_trained_alone_and_stands_in_the_tables(reproduced):
    path = reproduced / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    params["arms"]["newcomer"] = {
        "like": "echo", "cross": {"mechanism": "focused"}
    }  # fmt: skip
    for study in ("train", "seek"):
        params["runs"][study]["arms"].append("newcomer")
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    output = run(reproduced, *DVC, "repro", "judge")
    ran = [line for line in output.splitlines() if line.startswith("Running stage '")]
    trained = [line for line in ran if "'seek@" in line or "'train@" in line]
    assert len(trained) == 3  # two seeds seek, one reads
    assert all("newcomer" in line for line in trained)
    assert any("'measure@newcomer-1'" in line for line in ran)
    results = reproduced / "results" / "smoke"
    assert "\nnewcomer," in (results / "findings" / "answers.csv").read_text()
    assert "newcomer" in (results / "tables" / "wer.csv").read_text()
    changed = run(reproduced, *DVC, "metrics", "diff", "--all")
    path.write_text(before)
    assert "newcomer" in changed


def test_changing_an_arm_retrains_that_arm_alone(reproduced):
    path = reproduced / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    params["arms"]["echo"]["heads"] = 8
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    output = run(reproduced, *DVC, "repro", "train")
    path.write_text(before)
    assert "Running stage 'train@echo-1'" in output
    assert "Stage 'train@whisper-1' didn't change, skipping" in output


def test_the_smoke_numbers_are_kept_apart(reproduced):
    changed = run(reproduced, "git", "status", "--porcelain").splitlines()
    assert not [line for line in changed if " results/pilot" in line]
