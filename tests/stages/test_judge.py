"""Findings follow from the rows that are committed, byte for byte."""

import shutil
from pathlib import Path

from focused_attention.params import load
from focused_attention.stages import judge

ROOT = Path(__file__).parents[2]
FOUND = ("findings", "verdicts.json")


def test_the_committed_findings_follow_from_the_committed_rows(tmp_path, monkeypatch):
    name = "results/replication"
    shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(*FOUND))
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    for file in ("params.yaml", "results/benchmark-attention.json"):
        shutil.copy(ROOT / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    judge.main(["--profile", "replication"])
    kept = [*(ROOT / name / "findings").iterdir(), ROOT / name / "verdicts.json"]
    assert len(kept) > 9
    for path in kept:
        assert path.read_bytes() == (tmp_path / path.relative_to(ROOT)).read_bytes(), path


def test_every_profile_that_is_shown_is_judged_again():
    texts = [path.read_text("utf-8") for path in (ROOT / "paper").rglob("*.typ")]
    texts += [path.read_text("utf-8") for path in (ROOT / "notebooks").glob("*.ipynb")]
    params = load(ROOT / "params.yaml")
    others = {path.parent.name for path in ROOT.glob("results/*/findings")} - {params.profile}
    shown = {name for name in others if any(f"results/{name}" in t for t in texts)}
    assert shown | {params.findings} <= {*params.finished, params.profile}
