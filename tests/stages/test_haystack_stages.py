"""seek, measure and judge on a tiny arm: they agree with each other."""

import csv
import json
from pathlib import Path

import pytest
import torch

from focused_attention import results
from focused_attention.measures import entropy
from focused_attention.metrics.by_head import Sharpness
from focused_attention.metrics.counts import scores
from focused_attention.stages import asked, judge, measure, seek
from focused_attention.verdicts.first.trial import COLUMNS
from tests.stages.tiny import prepared


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the stages have run."""
    folder = prepared(tmp_path_factory.mktemp("study"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in (seek, measure):
            stage.main(["tiny", "--seed", "1"])
        asked.main([])
        write_recognition(Path("results"))
        judge.main([])
    return folder


def write_recognition(folder):
    """Made-up results of the study of recognition, which one claim is about."""
    about = {"arm": "tiny", "task": "digits", "decoding": "greedy", "seeds": 1, "utterances": 9}
    rates = {"wer": 0.5, "wer_low": 0.3, "wer_high": 0.7}
    results.write_csv(folder / "tiny/tables/wer.csv", [about | rates])
    results.write_csv(folder / "tiny/tables/arms.csv", [{"arm": "tiny", "heads": 2}])
    pair = {"arm": "tiny", "baseline": "other", "task": "digits", "decoding": "greedy"}
    pair |= {"difference": 0.1, "low": 0.0, "high": 0.2}
    results.write_csv(folder / "tiny/tables/pairs.csv", [pair])
    ratio = {"mechanism": "hybrid_published", "length": 500, "rounds": 7}
    ratio |= {"ratio": 1.3, "ratio_low": 1.2, "ratio_high": 1.4}
    results.write_json(folder / "benchmark-attention.json", {"timings": [ratio]})


def rows(folder, name):
    with (folder / "results/tiny" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_asked_agrees_with_what_is_heard(folder):
    """The value stands at its pair's place, and a row is the recording of the sweep's answer."""
    table = rows(folder, "asked.csv")
    swept = [row for row in rows(folder, "sweep/tiny-1.csv") if row["task"] == "recall"]
    sizes = {row["hay"]: int(row["utterances"]) for row in swept}
    for hay, n in sizes.items():
        of = [row for row in table if row["hay"] == hay]
        assert len(of) == n
        for row in of:
            assert len(row["heard"]) == int(row["pairs"])
            assert row["heard"][int(row["place"]) - 1] == row["value"]
    assert len({row["place"] for row in table}) > 1
    best = [r for r in rows(folder, "findings/guessers.csv") if r["guesser"] == "last heard digit"]
    for row in best:
        of = [r for r in table if r["hay"] == row["hay"]]
        last = sum(r["heard"][-1] == r["value"] for r in of) / len(of)
        assert float(row["rate"]) == pytest.approx(last, rel=1e-5)


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
    neutral = judged["checks"]["neutral"]
    assert (neutral["holds"], neutral["cells"], neutral["different"]) == (True, 8, 0)
    assert judged["checks"]["entropy"]["holds"]
    assert judged["checks"]["hot"]["holds"] is judged["checks"]["exchanged"]["holds"] is None
