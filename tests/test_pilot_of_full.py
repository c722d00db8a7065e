"""What a stranger reproduces is a part of what the paper shows: the pilot's runs are full's first.

Its seeds of the second trial are trained as `full` trains them, and hear the first of its
recordings, so that what they leave is, byte for byte, the beginning of what full's left.
"""

import csv
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "results"
CURVES = sorted(path.name for path in (RESULTS / "pilot/seek").glob("*.csv"))
ANSWERS = {"recall": ("written", "forced", "right", "bound"), "spot": ("right", "extra")}
RUNS = sorted(path.name for path in (RESULTS / "pilot/recall").glob("*.csv"))


def rows(path: Path, *places: str) -> dict[tuple, dict]:
    with path.open(newline="") as file:
        return {tuple(row[name] for name in places): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", CURVES)
def test_the_pilots_curves_are_those_of_full(name):
    full = RESULTS / "full/seek" / name
    if not full.exists():
        pytest.skip(f"{name} is not a run of full")
    assert (RESULTS / "pilot/seek" / name).read_bytes() == full.read_bytes()


@pytest.mark.parametrize("measure", ANSWERS)
@pytest.mark.parametrize("name", RUNS)
def test_the_pilots_answers_are_the_first_of_full(name, measure):
    full = RESULTS / "full" / measure / name
    if not full.exists():
        pytest.skip(f"{name} is not measured in full")
    at = ("split", "filler", "hay", "slot", "temperature")
    at = at if measure == "recall" else ("hay", "temperature")
    ours, theirs = rows(RESULTS / "pilot" / measure / name, *at), rows(full, *at)
    assert ours
    assert ours.keys() <= theirs.keys()
    for place, row in ours.items():
        for column in ANSWERS[measure]:
            assert theirs[place][column].startswith(row[column])
            assert len(row[column]) == int(row["utterances"])


def test_the_pilot_has_runs_of_the_second_trial():
    assert any(name.startswith("echo-") for name in CURVES)
    assert RUNS
