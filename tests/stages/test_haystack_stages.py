"""seek, adapt, measure, asked and judge on tiny arms: they agree with each other."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from focused_attention import results
from focused_attention.measures import entropy
from focused_attention.metrics.by_head import Sharpness
from focused_attention.params import load
from focused_attention.speech.store import FeatureStore
from focused_attention.stages import adapt, asked, judge, measure, seek
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.haystack import HaystackComposer, closed
from focused_attention.tasks.sizes import Recall
from focused_attention.verdicts.replies import KINDS
from focused_attention.verdicts.tables import COLUMNS
from tests.conftest import DAYS, DIGITS, MONTHS
from tests.stages.tiny import SMALL, prepared

OVER = {
    "arms": {"more": SMALL["arms"]["tiny"] | {"start": "tiny", "steps": 2}},
    "runs": {"adapt": {"arms": ["more"]}},
}
PLAIN = {"slot": "cross", "split": "test", "filler": "words", "temperature": "1.0"}
ANSWERED = ("right", "bound", "written", "forced", "nats")
OUTCOMES = {"bound", "nats", *KINDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the stages have run: `more` goes on from `tiny`, and is not swept."""
    folder = prepared(tmp_path_factory.mktemp("study"), OVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage, arm in ((seek, "tiny"), (adapt, "more"), (measure, "tiny"), (measure, "more")):
            stage.main([arm, "--seed", "1"])
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


def rows(folder, name, **wanted):
    """The rows of a results file, or those with these values."""
    with (folder / "results/tiny" / name).open(newline="") as file:
        found = csv.DictReader(file)
        return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def test_runs_leave_weights_and_curves(folder):
    for arm, more in (("tiny", set()), ("more", {"recall short"})):
        assert (folder / f"runs/tiny/seek/{arm}-1.safetensors").exists()
        assert {r["task"] for r in rows(folder, f"seek/{arm}-1-dev.csv")} == {
            "recall", "spot", *more
        }  # fmt: skip


def test_what_is_asked_agrees_with_the_recordings(folder, monkeypatch):
    monkeypatch.chdir(folder)
    params, store = load(), closed(FeatureStore.open())
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    haystacks = HaystackComposer(composer, params.haystack)
    table = rows(folder, "asked.csv")
    places = [(row["split"], row["filler"], row["hay"]) for row in table]
    wanted = {("test", filler, hay) for filler in params.recall.fillers for hay in "03"}
    assert set(places) == wanted | {("dev", "words", "3")}
    assert len(places) == len(wanted) + 1
    for row in table:
        size = Recall(pairs=2, digits=2, keys=1, words=int(row["hay"]), filler=row["filler"])
        groups = zip(row["value"], row["others"].split(), row["lone"].split(), strict=True)
        given = haystacks.evaluation(row["split"], size, int(row["utterances"]))
        for i, (u, (value, others, lone)) in enumerate(zip(given, groups, strict=True)):
            texts = [store.recordings[i].text for i in u.recordings]
            after = {a: b for a, b in pairwise(texts) if b in DIGITS}
            pairs = {key: b for key, b in after.items() if key in {*DAYS, *MONTHS}}
            paired = [str(DIGITS.index(b)) for b in pairs.values()]  # in the order of saying
            assert value == str(DIGITS.index(pairs[store.tokenizer.decode(u.query)]))
            assert [one for one in paired if one != value] == list(others)
            said = [str(DIGITS.index(text)) for text in texts if text in DIGITS]
            assert [one for one in said if one not in paired] == list(lone)
            assert (row["last"][i], row["last_pair"][i]) == (said[-1], paired[-1])
            assert row["nearest"][i] in said
            assert paired[int(row["place"][i]) - 1] == value


def test_recall_has_every_cell_once_and_slots_agree_at_temperature_one(folder):
    table = rows(folder, "recall/tiny-1.csv")
    cells = [tuple(row[k] for k in (*PLAIN, "hay")) for row in table]
    fillers, sizes, heats, slots = 3, 2, 3, 2
    assert len(set(cells)) == len(cells) == fillers * sizes * heats * slots + heats
    dev = [row for row in table if row["split"] == "dev"]
    assert {(row["hay"], row["filler"], row["slot"]) for row in dev} == {("3", "words", "cross")}
    for row in table:
        assert len(row["right"]) == len(row["nats"].split()) == int(row["utterances"]) == 6
    plain = [row for row in table if (row["split"], row["temperature"]) == ("test", "1.0")]
    cross, encoder = (
        {(r["hay"], r["filler"]): [r[k] for k in ANSWERED] for r in plain if r["slot"] == slot}
        for slot in ("cross", "encoder")
    )
    assert cross == encoder
    assert len(cross) == fillers * sizes


def test_an_arm_that_is_not_swept_is_asked_as_it_was_trained(folder):
    table = rows(folder, "recall/more-1.csv")
    cells = {(row["temperature"], row["filler"], row["slot"]) for row in table}
    assert cells == {("1.0", "words", "cross")}
    assert [(r["hay"], r["split"]) for r in table] == [("0", "test"), ("3", "test"), ("3", "dev")]
    assert {row["temperature"] for row in rows(folder, "spot/more-1.csv")} == {"1.0"}


@pytest.mark.parametrize("arm", ["tiny", "more"])
def test_who_is_right_wrote_the_digit_and_who_is_bound_had_to_say_it(folder, arm):
    held = {(r["split"], r["filler"], r["hay"]): r for r in rows(folder, "asked.csv")}
    for row in rows(folder, f"recall/{arm}-1.csv"):
        of = held[row["split"], row["filler"], row["hay"]]
        parts = (of["value"], of["others"].split(), of["lone"].split())
        heard = ["".join(digits) for digits in zip(*parts, strict=True)]
        for outcome, answer in (("right", "written"), ("bound", "forced")):
            told = [str(int(a == b)) for a, b in zip(row[answer], of["value"], strict=True)]
            assert list(row[outcome]) == told
        assert set(row["written"]) <= {*"0123456789-"}
        assert all(one in digits for one, digits in zip(row["forced"], heard, strict=True))
        assert all(float(cost) >= 0 for cost in row["nats"].split())


def test_spotted_digits_are_counted_as_they_were_hit(folder):
    table = rows(folder, "spot/tiny-1.csv")
    assert [(row["hay"], row["temperature"]) for row in table] == [
        (hay, heat) for hay in "02" for heat in ("0.5", "1.0", "2.0")
    ]
    for row in table:
        hits = row["hits"].split()
        assert {len(of) for of in hits} == {int(row["needles"])} == {2}
        assert row["right"] == "".join(str(of.count("1")) for of in hits)
        assert len(row["extra"]) == len(hits) == 6


def test_entropy_is_within_its_bounds_and_a_planted_uniform_model_is_found(folder):
    table = rows(folder, "entropy/tiny-1.csv")
    assert {(row["slot"], row["layer"]) for row in table} == {
        ("encoder", "0"), ("encoder", "1"), ("cross", "0"),
    }  # fmt: skip
    assert {row["filler"] for row in table} == {"words", "silence"}
    relative = [row for row in table if row["metric"] == "normalised_entropy"]
    assert all(0 <= float(row["mean"]) <= 1 for row in relative)
    hot = [row for row in table if float(row["temperature"]) > 1]
    assert all(float(row["mean"]) == 1 for row in hot if row["metric"] == "collapsed")
    assert {row["metric"] for row in table if row["slot"] == "cross"} >= {
        "segment_mass",
        "retrieved",
    }


def test_every_recording_has_its_own_uniformity_of_cross_attention(folder):
    pooled = {
        (row["filler"], row["hay"], row["temperature"]): float(row["mean"])
        for row in rows(folder, "entropy/tiny-1.csv")
        if (row["slot"], row["head"], row["metric"]) == ("cross", "0", "normalised_entropy")
    }
    table = rows(folder, "entropy/tiny-1-recordings.csv")
    assert {(row["filler"], row["hay"], row["temperature"]) for row in table} == pooled.keys()
    for row in table:
        each = np.array(row["normalised_entropy"].split(), dtype=float)
        assert len(each) == 6
        assert ((each > 0) & (each <= 1)).all()
        hot = float(row["temperature"]) > 1
        assert (each > 1 - 1e-6).all() == hot


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


@pytest.mark.parametrize("arm", ["tiny", "more"])
def test_pruning_nothing_is_the_plain_answer(folder, arm):
    table = rows(folder, f"prune/{arm}-1.csv")
    assert len(table) == (2 + 1) * 3
    for slot, hay in (("cross", "0"), ("cross", "3"), ("encoder", "0")):
        (plain,) = rows(folder, f"recall/{arm}-1.csv", hay=hay, **PLAIN)
        of = {row["top_k"]: row for row in table if (row["slot"], row["hay"]) == (slot, hay)}
        for kept in ("1000", ""):
            assert [of[kept][name] for name in ANSWERED] == [plain[name] for name in ANSWERED]


def test_findings_are_tables_of_what_the_stages_wrote(folder):
    tables = {name: rows(folder, f"findings/{name}.csv") for name in COLUMNS}
    for name, columns in COLUMNS.items():
        header = (folder / f"results/tiny/findings/{name}.csv").read_text().splitlines()[0]
        assert header == ",".join(columns)
    assert tables["temperatures"] == []  # the arms learn none
    assert tables["slopes"] == []  # of five temperatures at least
    answered = {arm: rows(folder, f"recall/{arm}-1.csv", split="test") for arm in ("tiny", "more")}
    assert len(tables["answers"]) == len(OUTCOMES) * sum(map(len, answered.values()))
    for arm, table in answered.items():
        for row in table:
            keys = ("hay", "filler", "slot", "temperature", "seconds")
            of = [
                r for r in tables["answers"]
                if r["arm"] == arm and all(r[key] == row[key] for key in keys)
            ]  # fmt: skip
            rate = {r["measure"]: float(r["rate"]) for r in of}
            assert set(rate) == OUTCOMES
            for name in ("right", "bound"):
                assert rate[name] == pytest.approx(row[name].count("1") / 6, abs=1e-5)
            assert rate["none"] == pytest.approx(row["written"].count("-") / 6, abs=1e-5)
            assert sum(rate[name] for name in KINDS) == pytest.approx(1, abs=1e-5)
            costs = [float(cost) for cost in row["nats"].split()]
            assert rate["nats"] == pytest.approx(sum(costs) / 6, rel=1e-3)
    pruned = sum(len(rows(folder, f"prune/{arm}-1.csv")) for arm in answered)
    assert len(tables["pruning"]) == len(OUTCOMES) * pruned
    assert {(row["arm"], row["filler"]) for row in tables["entropy-length"]} == {
        (arm, filler) for arm in answered for filler in ("words", "silence")
    }
    for row in rows(folder, "spot/tiny-1.csv"):
        of = {"arm": "tiny", "hay": row["hay"], "temperature": row["temperature"]}
        (found,) = rows(folder, "findings/spotting.csv", measure="recall", **of)
        assert float(found["rate"]) == pytest.approx(row["hits"].count("1") / 12, abs=1e-5)


def test_learning_is_told_of_every_run(folder):
    found = {row["arm"]: row for row in rows(folder, "findings/learning.csv")}
    assert {arm: row["steps"] for arm, row in found.items()} == {"tiny": "4", "more": "2"}
    for arm, row in found.items():
        dev = {r["task"]: r["first_word"] for r in rows(folder, f"seek/{arm}-1-dev.csv")}
        for name in ("recall", "recall_short", "spot"):
            share = dev.get(name.replace("_", " "))
            assert row[name] == ("" if share is None else str(float(share)))
    assert {row["learned"] for row in found.values()} == {"False"}


def test_a_profile_without_the_arms_of_the_plan_decides_nothing(folder):
    judged = json.loads((folder / "results/tiny/verdicts.json").read_text())
    assert judged["profile"] == "tiny"
    assert list(judged["claims"]) == ["C0", "C1a", "C1b", "C1c", "C2", "C3", "C4", "C5", "C6"]
    read, *claims = judged["claims"].values()
    assert (read["verdict"], read["effect"]) == ("undecided", None)
    for claim in claims:
        assert claim["verdict"] == "not run"
        assert "does not train or measure echo" in claim["reason"]
        assert "effect" not in claim
    assert judged["guessers"]["any heard digit"] == 1 / 4
    assert judged["guessers"]["any value of a pair"] == 1 / 2
    checks = judged["checks"]
    assert (checks["neutral"]["state"], checks["neutral"]["cells"]) == ("holds", 3 * 2)
    assert checks["entropy"]["state"] == "holds"
    others = checks.keys() - {"neutral", "entropy"}
    assert {checks[name]["state"] for name in others} == {"not run"}
