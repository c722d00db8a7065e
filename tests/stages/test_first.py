"""What the first edition found follows from committed rows and settings alone, byte for byte."""

import shutil
from pathlib import Path

import pytest

from focused_attention.errors import UserError
from focused_attention.params import load
from focused_attention.paths import FIRST
from focused_attention.schema import read
from focused_attention.stages import first
from focused_attention.verdicts.first.study import committed, study

ROOT = Path(__file__).parents[2]
FOUND = ("findings", "verdicts.json")
FINISHED = load(ROOT / "params.yaml").finished


def test_the_committed_findings_follow_from_the_committed_rows(tmp_path, monkeypatch):
    """There is no params.yaml, so that nothing of it can be read."""
    name = "results/replication"
    shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(*FOUND))
    shutil.copytree(ROOT / FIRST, tmp_path / FIRST)
    shutil.copy(ROOT / "results/benchmark-attention.json", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    first.main(["--profile", "replication"])
    kept = [*(ROOT / name / "findings").iterdir(), ROOT / name / "verdicts.json"]
    assert len(kept) > 9
    for path in kept:
        assert path.read_bytes() == (tmp_path / path.relative_to(ROOT)).read_bytes(), path


@pytest.mark.parametrize("profile", FINISHED)
def test_the_settings_of_a_trial_are_those_of_its_rows(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    found, folder = committed(profile), ROOT / "results" / profile
    assert found.profile == profile
    runs = {f"{arm}-{seed}" for arm in found.arms for seed in found.seeds}
    for measure, arms in (("sweep", found.measured["sweep"]), ("guess", found.measured["guess"])):
        asked = {f"{arm}-{seed}" for arm in arms for seed in found.seeds}
        assert {path.stem for path in (folder / measure).glob("*.csv")} == asked <= runs


def test_every_trial_that_is_over_is_one_of_the_pipeline():
    assert {path.stem for path in (ROOT / FIRST).glob("*.yaml")} == {*FINISHED}


def test_a_setting_that_is_missing_is_named():
    whole = read(ROOT / FIRST / "first.yaml")
    for section, key in (("collect", "resamples"), ("seek", "steps")):
        lacking = whole | {section: {k: v for k, v in whole[section].items() if k != key}}
        with pytest.raises(UserError, match=rf"^a file: missing key '{key}'$"):
            study(lacking, "a file")
    sweep = {k: v for k, v in whole["measure"]["sweep"].items() if k != "words"}
    with pytest.raises(UserError, match=r"^a file: measure\.sweep: missing key 'words'$"):
        study(whole | {"measure": whole["measure"] | {"sweep": sweep}}, "a file")


def test_every_profile_that_is_shown_is_judged_again():
    texts = [path.read_text("utf-8") for path in (ROOT / "paper").rglob("*.typ")]
    texts += [path.read_text("utf-8") for path in (ROOT / "notebooks").glob("*.ipynb")]
    params = load(ROOT / "params.yaml")
    others = {path.parent.name for path in ROOT.glob("results/*/findings")} - {params.profile}
    shown = {name for name in others if any(f"results/{name}" in t for t in texts)}
    assert shown | {params.findings} <= {*params.finished, *params.judged, params.profile}
