"""`make check`: silent on the same results, one line for everything that changed."""

import json
import subprocess

import pytest

from focused_attention.errors import UserError
from focused_attention.results import write_csv, write_json
from focused_attention.stages.check import at_head, cells, compare, drift, on_disk

TABLE = "tables/wer.csv"
TOLERANCES = {TABLE: 0.1, "summary.json": 0.1, "verdicts.json": 0.05}


def write(folder, seeds=(0.95, 0.9), verdict="supported", state="holds", effect=0.02, wer=0.02):
    """The results of a profile, as far as they are compared."""
    write_csv(folder / TABLE, [{"arm": "whisper", "task": "digits", "wer": wer, "utterances": 300}])
    about = {"profile": "pilot", "hardware": "this", "revision": "0123456789ab"}
    write_json(folder / "summary.json", about | {"arms": 1, "counts": [1, 2], "wer": wer})
    claims = {"C3": {"verdict": verdict, "effect": effect, "reason": "It is so."}}
    claims["C6"] = {"verdict": "not run", "reason": "No such arm."}  # and no effect
    checks = {"neutral": {"state": state, "cells": 3}}
    write_json(folder / "verdicts.json", about | {"claims": claims, "checks": checks})
    runs = [
        {"arm": "echo", "seed": i, "recall": share, "learned": share >= 0.9}
        for i, share in enumerate(seeds, 4)
    ]
    write_csv(folder / "findings/learning.csv", runs)
    return folder


@pytest.fixture
def compared(tmp_path):
    """Compares results as they are by default with results that differ in what is given."""
    before = on_disk(write(tmp_path / "before"))

    def lines(tolerances=TOLERANCES, **changes):
        return compare(before, on_disk(write(tmp_path / "after", **changes)), tolerances)

    return lines


def test_the_same_results_are_the_same(compared):
    assert compared(dict.fromkeys(TOLERANCES, 0.0)) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"verdict": "not compared"}, "C3: supported became not compared"),
        ({"state": "fails"}, "check neutral: holds became fails"),
        ({"state": "not run"}, "check neutral: holds became not run"),
        ({"effect": 0.2}, "verdicts.json: C3/effect: 0.02 became 0.2 (tolerance 0.05)"),
        ({"effect": None}, "verdicts.json: C3/effect: 0.02 became None"),
    ],
    ids=str,
)
def test_a_flipped_word_or_a_moved_effect_is_one_line(compared, changes, line):
    assert compared(**changes) == [line]


def test_no_tolerance_lets_a_word_change(compared):
    wide = dict.fromkeys(TOLERANCES, 1e9)
    assert compared(wide, verdict="refuted") == ["C3: supported became refuted"]


def test_a_seed_that_has_not_learned_is_told(compared):
    assert compared(seeds=(0.99, 0.89)) == ["echo, seed 5: learned became not learned"]
    assert compared(seeds=(0.95, 0.92)) == []


def test_what_is_gone_and_what_is_new_is_said(compared):
    assert "echo, seed 5: learned became absent" in compared(seeds=(0.95,))
    assert "echo, seed 6: absent became learned" in compared(seeds=(0.95, 0.9, 0.9))


def test_a_number_may_move_within_its_tolerance(compared):
    assert compared(wer=0.05) == []
    lines = compared(TOLERANCES | {TABLE: 0.01}, wer=0.05)
    assert lines == [f"{TABLE}: whisper/digits/wer: 0.02 became 0.05 (tolerance 0.01)"]


def test_missing_and_new_rows_are_drift(tmp_path):
    rows = [{"arm": "whisper", "task": "digits", "wer": 0.02, "utterances": 300}]
    for name, arm in (("old", "whisper"), ("new", "echo")):
        write_csv(tmp_path / name, [rows[0] | {"arm": arm}])
    lines = drift(TABLE, *((tmp_path / name).read_text() for name in ("old", "new")), 1.0)
    assert sum("missing" in line for line in lines) == 2
    assert sum("new" in line for line in lines) == 2


def test_hardware_and_revision_may_differ_and_words_may_not():
    old = {"hardware": "this", "counts": [1, 2], "split": "test"}
    new = {"hardware": "other", "revision": "ab", "counts": [1, 3], "split": "dev"}
    lines = drift("summary.json", json.dumps(old), json.dumps(new), 0.0)
    assert len(lines) == 2
    assert any("/counts/1: 2 became 3" in line for line in lines)
    assert any("/split: test became dev" in line for line in lines)


def test_rows_that_differ_in_numbers_alone_are_all_compared():
    found = cells(TABLE, "arm,hay,rate\necho,0,0.5\necho,8,0.25\n")
    assert list(found.values()) == [0, 0.5, 8, 0.25]


def test_a_folder_is_compared_with_what_git_has_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path).relative_to(tmp_path)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "results"],
    ):
        subprocess.run(["git", *command], check=True)
    write(tmp_path, verdict="refuted")
    lines = compare(at_head(folder), on_disk(folder), TOLERANCES)
    assert lines == ["C3: supported became refuted"]
    with pytest.raises(UserError, match=r"new\.csv: not committed"):
        at_head(folder)("new.csv")
    with pytest.raises(UserError, match=r"new\.csv: no such file; run `make reproduce` first"):
        on_disk(folder)("new.csv")
