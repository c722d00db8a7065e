"""`make check`: silent on the committed numbers, an error on drift."""

import subprocess

import pytest

from focused_attention.errors import UserError
from focused_attention.results import write_csv, write_json
from focused_attention.stages.check import cells, drift


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A committed results table, from inside its repository."""
    monkeypatch.chdir(tmp_path)
    rows = [{"arm": "whisper", "task": "digits", "wer": 0.02, "utterances": 300}]
    path = tmp_path.joinpath("wer.csv").relative_to(tmp_path)
    write_csv(path, rows)
    write_json(path.with_suffix(".json"), {"hardware": "this", "counts": [1, 2], "split": "test"})
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "results"],
    ):
        subprocess.run(["git", *command], check=True)
    return path, rows


def test_the_committed_numbers_do_not_drift(table):
    path, _ = table
    assert drift(path, 0.0) == []
    assert drift(path.with_suffix(".json"), 0.0) == []


def test_a_number_may_move_within_its_tolerance(table):
    path, rows = table
    write_csv(path, [rows[0] | {"wer": 0.05}])
    assert drift(path, 0.1) == []
    (line,) = drift(path, 0.01)
    assert "whisper/digits/wer: 0.02 became 0.05 (tolerance 0.01)" in line


def test_missing_and_new_rows_are_drift(table):
    path, rows = table
    write_csv(path, [rows[0] | {"arm": "echo"}])
    lines = drift(path, 1.0)
    assert sum("missing" in line for line in lines) == 2
    assert sum("new" in line for line in lines) == 2


def test_hardware_may_differ_and_words_may_not(table):
    path, _ = table
    path = path.with_suffix(".json")
    write_json(path, {"hardware": "other", "counts": [1, 3], "split": "dev"})
    lines = drift(path, 0.0)
    assert len(lines) == 2
    assert any("/counts/1: 2 became 3" in line for line in lines)
    assert any("/split: test became dev" in line for line in lines)


def test_results_that_were_never_committed_are_named(table):
    path, rows = table
    write_csv(path.with_name("new.csv"), rows)
    with pytest.raises(UserError, match=r"new\.csv: not committed"):
        drift(path.with_name("new.csv"), 0.0)


def test_rows_that_differ_in_numbers_alone_are_all_compared(table):
    path, _ = table
    found = cells(path, "arm,hay,rate\necho,0,0.5\necho,8,0.25\n")
    assert list(found.values()) == [0, 0.5, 8, 0.25]
