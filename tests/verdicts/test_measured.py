"""The table of all that was measured: planted rows are found, files that were changed are not."""

import dataclasses
import hashlib
import math

import numpy as np
import pytest

from focused_attention import results
from focused_attention.errors import UserError
from focused_attention.params import load
from focused_attention.verdicts import measured
from tests.stages.tiny import prepared

SHOWN = {"by": ["hay"], "digits": [], "numbers": [], "value": None, "figure": None}
ANSWERS = [{"hay": 8, "right": "1101", "asked": "", "written": "", "each": "0.5 nan 0.25 0.75"}]


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Plant rows of a measure for two seeds; returns the parameters and the folder."""
    monkeypatch.chdir(prepared(tmp_path))
    params = load()
    study = dataclasses.replace(params.runs.seek, seeds=[1, 2])
    runs = dataclasses.replace(params.runs, seek=study)
    params = dataclasses.replace(params, runs=runs, measure={"made_up": {}})
    folder = results.RESULTS / "tiny"

    def plant(rows, why=None, seeds=(1, 2), **shown):
        for seed in seeds:
            path = folder / "made_up" / f"tiny-{seed}.csv"
            if rows:
                results.write_csv(path, rows)
            files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()} if rows else {}
            of = {"files": files, "shown": SHOWN | shown, "not_applicable": why or {}}
            results.write_json(folder / f"measure/tiny-{seed}.json", {"measures": {"made_up": of}})
        return params, folder

    return plant


def test_digits_numbers_and_means_are_averaged_with_their_intervals(planted):
    (right, each) = measured.table(*planted(ANSWERS, digits=["right"], numbers=["each"]))
    assert (right["condition"], right["metric"], right["mean"]) == ("hay=8", "right", 0.75)
    assert (right["seeds"], right["units"]) == (2, 4)
    assert 0 <= right["low"] < 0.75 < right["high"] <= 1
    assert (each["mean"], each["units"]) == (0.5, 3)  # what is no number counts for nothing
    assert each["low"] < 0.5 < each["high"]
    heads = [{"hay": 8, "metric": "entropy", "mean": value} for value in (0.25, 0.75)]
    (row,) = measured.table(*planted(heads, value="mean"))
    assert (row["metric"], row["mean"], row["units"]) == ("entropy", 0.5, 2)
    assert row["low"] <= 0.5 <= row["high"]


def test_f1_is_made_of_what_is_asked_and_written():
    row = {"right": "21", "asked": "33", "written": "32"}
    ((metric, (above, below)),) = measured.numbers(row, SHOWN | {"digits": ["right"]})
    assert metric == "f1"
    np.testing.assert_array_equal((above, below), ([4, 2], [6, 5]))


def test_only_what_a_measure_names_is_drawn(planted):
    rows = [*ANSWERS, ANSWERS[0] | {"hay": 60}]
    table = measured.table(*planted(rows, digits=["right"], figure={"hay": [60]}))
    assert [(row["condition"], row["figure"]) for row in table] == [
        ("hay=8", False),
        ("hay=60", True),
    ]


def test_one_unit_has_no_interval(planted):
    (row,) = measured.table(*planted([{"hay": 8, "metric": "m", "mean": 0.5}], value="mean"))
    assert row["mean"] == 0.5
    assert math.isnan(row["low"])


def test_what_does_not_apply_is_a_row_with_its_reason(planted):
    params, folder = planted([], {"": "Cosine has no temperature"})
    (row,) = measured.table(params, folder)
    assert row["note"] == "not applicable: Cosine has no temperature"
    assert not measured.applies(folder, "made_up", "tiny", [1, 2])


def test_without_word_of_it_the_rows_are_as_they_are(planted):
    _, folder = planted(ANSWERS)
    for seed in (1, 2):
        (folder / f"measure/tiny-{seed}.json").unlink()
    assert measured.applies(folder, "made_up", "tiny", [1, 2])
    assert measured.read(folder, "made_up", "tiny", 1)[0]["right"] == "1101"


def test_a_file_that_was_changed_is_refused_and_a_run_that_is_missing(planted):
    params, folder = planted(ANSWERS, digits=["right"])
    path = folder / "made_up/tiny-2.csv"
    path.write_text(path.read_text().replace("1101", "1111"))
    with pytest.raises(UserError, match=r"tiny-2\.csv: not as stage measure made it; run"):
        measured.table(params, folder)
    (folder / "measure/tiny-2.json").unlink()
    with pytest.raises(UserError, match="made_up was not measured of every seed of tiny"):
        measured.table(params, folder)
