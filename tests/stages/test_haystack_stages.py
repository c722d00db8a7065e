"""seek, sweep, entropy, prune, guess and judge on a tiny arm: they agree with each other."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml

from focused_attention import results
from focused_attention.analysis.answers import scores
from focused_attention.analysis.findings import COLUMNS
from focused_attention.haystack import KEYS
from focused_attention.metrics.sharpness import Sharpness
from focused_attention.params import overlay
from focused_attention.stages import entropy, guess, judge, prune, seek, sweep
from focused_attention.tasks import DIGITS
from tests.conftest import random_store

ROOT = Path(__file__).parents[2]
SIZES = {"pairs": 2, "utterances": 6, "batch_seconds": 10.0, "words": [0, 3]}
SMALL = {
    "profile": "tiny",
    "model": {"width": 16, "encoder_layers": 2, "decoder_layers": 1},
    "tasks": {"max_seconds": 2.0},
    "haystack": {
        "reading": 1, "strings": [1, 3], "pairs": [1, 2], "words": [0, 2], "digits": [1, 2],
        "prompts": [0, 1],
    },
    "seek": {
        "arms": ["tiny"], "seeds": [1], "steps": 4, "batch_seconds": 6.0, "warmup": 2,
        "log_every": 2, "dev_every": 4, "dev_utterances": 3, "checkpoint_every": 4,
    },
    "sweep": SIZES
    | {"digits": 2, "prompts": [0, 2], "temperatures": [0.5, 1.0, 2.0], "encoder": ["tiny"]},
    "entropy": SIZES | {"temperatures": [1.0, 1e6]},
    "prune": SIZES
    | {
        "arms": ["tiny"], "temperatures": [1.0], "words": {"cross": [0, 3], "encoder": [0]},
        "top_k": [1, 1000],
    },
    "train": {"arms": ["tiny"]},
    "arms": {"tiny": {"model": "echo", "heads": 2, "focus_blocks": 1}},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the six stages have run."""
    folder = tmp_path_factory.mktemp("study")
    prompts = [f"{a} {b} please" for a in ("press", "say", "hold") for b in ("it", "on", "this")]
    random_store(folder / "features", [*sorted(KEYS), *sorted(DIGITS), "star", "pound", *prompts])
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(overlay(params, SMALL)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in (seek, sweep, entropy, prune, guess):
            stage.main(["tiny", "--seed", "1"])
        write_recognition(Path("results"))
        judge.main([])
    return folder


def write_recognition(folder):
    """Made-up results of the study of recognition, which one claim is about."""
    about = {"arm": "tiny", "task": "digits", "decoding": "greedy", "seeds": 1, "utterances": 9}
    rates = {"wer": 0.5, "wer_low": 0.3, "wer_high": 0.7}
    results.write_csv(folder / "tiny/tables/wer.csv", [about | rates])
    results.write_csv(folder / "tiny/tables/arms.csv", [{"arm": "tiny", "heads": 2}])
    ratios = [{"name": "hybrid, T = 500", "ratio": 1.3}]
    results.write_json(folder / "benchmark-attention.json", {"rows": ratios})


def rows(folder, name):
    with (folder / "results/tiny" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_seek_leaves_weights_and_curves(folder):
    assert (folder / "runs/tiny/seek/tiny-1.safetensors").exists()
    assert {row["task"] for row in rows(folder, "seek/tiny-1-dev.csv")} == {"recall", "spot"}


def test_a_sweep_has_every_cell_once_and_slots_agree_at_temperature_one(folder):
    table = rows(folder, "sweep/tiny-1.csv")
    names = ("split", "answers", "task", "hay", "slot", "temperature")
    cells = [tuple(row[k] for k in names) for row in table]
    assert len(set(cells)) == len(cells) == 2 * 2 * 3 * 3 + 2 * 3
    for row in table:
        right, of = scores(row)
        assert len(right) == len(of) == 6
        assert (right <= of).all()
        assert row["task"] == "spot" or row["asked"] == row["written"] == ""
    plain = [r for r in table if (r["split"], r["answers"]) == ("test", "own")]
    plain = [row for row in plain if float(row["temperature"]) == 1]
    assert len(plain) == 2 * 2 * 3
    for task in ("recall", "spot"):
        for hay in {row["hay"] for row in plain if row["task"] == task}:
            same = {row["right"] for row in plain if (row["task"], row["hay"]) == (task, hay)}
            assert len(same) == 1


def test_a_sweep_has_dev_and_exchanged_answers_at_the_longest(folder):
    table = rows(folder, "sweep/tiny-1.csv")
    others = [r for r in table if (r["split"], r["answers"]) != ("test", "own")]
    assert {(r["task"], r["hay"], r["slot"]) for r in others} == {("recall", "3", "cross")}
    assert {(r["split"], r["answers"]) for r in others} == {("dev", "own"), ("test", "another")}


def test_entropy_is_within_its_bounds_and_a_planted_uniform_model_is_found(folder):
    table = rows(folder, "entropy/tiny-1.csv")
    assert {(row["slot"], row["layer"]) for row in table} == {
        ("encoder", "0"), ("encoder", "1"), ("cross", "0"),
    }  # fmt: skip
    relative = [row for row in table if row["metric"] == "normalised_entropy"]
    assert all(0 <= float(row["mean"]) <= 1 for row in relative)
    hot = [row for row in table if float(row["temperature"]) > 1]
    assert all(float(row["mean"]) == 1 for row in hot if row["metric"] == "collapsed")
    assert {row["metric"] for row in table if row["slot"] == "cross"} >= {
        "segment_mass",
        "retrieved",
    }


def test_some_rows_of_the_encoder_are_measured_as_if_they_were_all():
    torch.manual_seed(0)
    weights = torch.rand(3, 2, 9, 9).softmax(dim=-1)
    mask = torch.arange(9) < torch.tensor([[9], [7], [4]])
    for given in (mask, None):
        everything, all_rows, some = (Sharpness(self_attention=True), Sharpness(), Sharpness())
        everything.update(weights, given, given)
        entropy.add_some(all_rows, weights, given, every=1)
        entropy.add_some(some, weights, given, every=3)
        by_name = {(r["metric"], r["head"]): r for r in everything.rows()}
        for row in all_rows.rows():
            assert row == pytest.approx(by_name[row["metric"], row["head"]], nan_ok=True)
        counted = {row["rows"] for row in some.rows() if row["metric"] == "entropy"}
        assert counted == {9 if given is None else 3 + 3 + 2}


def test_pruning_nothing_is_the_plain_answer(folder):
    table = rows(folder, "prune/tiny-1.csv")
    for hay in ("0", "3"):
        kept = {
            row["top_k"]: row["right"]
            for row in table
            if (row["hay"], row["int8"]) == (hay, "False")
        }
        assert kept["1000"] == kept[""]
        swept = [
            row["right"] for row in rows(folder, "sweep/tiny-1.csv")
            if (row["task"], row["hay"]) == ("recall", hay) and float(row["temperature"]) == 1
            and (row["split"], row["answers"]) == ("test", "own")
        ]  # fmt: skip
        assert set(swept) == {kept[""]}


def test_whoever_is_right_has_answered_with_a_digit(folder):
    table = rows(folder, "guess/tiny-1.csv")
    assert [float(row["temperature"]) for row in table] == [0.5, 1.0, 2.0]
    swept = {
        float(row["temperature"]): row["right"] for row in rows(folder, "sweep/tiny-1.csv")
        if (row["task"], row["hay"], row["slot"]) == ("recall", "3", "cross")
        and (row["split"], row["answers"]) == ("test", "own")
    }  # fmt: skip
    for row in table:
        assert row["right"] == swept[float(row["temperature"])]
        assert len(row["digit"]) == int(row["utterances"]) == 6
        assert all(digit >= right for digit, right in zip(row["digit"], row["right"], strict=True))


def test_findings_are_tables_of_what_the_stages_wrote(folder):
    tables = {name: rows(folder, f"findings/{name}.csv") for name in COLUMNS}
    for name, columns in COLUMNS.items():
        header = (folder / f"results/tiny/findings/{name}.csv").read_text().splitlines()[0]
        assert header == ",".join(columns)
    assert tables["temperatures"] == []  # the arm learns none
    assert len(tables["accuracy"]) == 2 * 2 * 3 * 3
    assert len(tables["optimum"]) == 2 * 2 * 3
    assert len(tables["pruning"]) == len(rows(folder, "prune/tiny-1.csv"))
    for row in rows(folder, "sweep/tiny-1.csv"):
        if (row["split"], row["answers"]) == ("test", "own"):
            keys = ("task", "hay", "slot", "temperature")
            (found,) = (r for r in tables["accuracy"] if all(r[k] == row[k] for k in keys))
            right, of = scores(row)
            assert float(found["rate"]) == pytest.approx(right.sum() / of.sum(), abs=1e-5)
    (learned,) = tables["learning"]
    assert learned["trained"] == "False"


def test_a_profile_without_the_arms_of_the_plan_decides_nothing(folder):
    judged = json.loads((folder / "results/tiny/verdicts.json").read_text())
    assert judged["profile"] == "tiny"
    assert list(judged["claims"]) == ["C0", "C1", "C2", "C3", "C4", "C5", "C6"]
    for claim in judged["claims"].values():
        assert claim["verdict"] == "undecided"
        assert claim["effect"] is None
        assert claim["reason"]
    assert judged["checks"]["neutral"] | {"test": ""} == {
        "test": "", "holds": True, "cells": 8, "different": 0,
    }  # fmt: skip
    assert judged["checks"]["entropy"]["holds"]
    assert judged["checks"]["hot"]["holds"] is judged["checks"]["exchanged"]["holds"] is None
