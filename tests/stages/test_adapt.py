"""A started arm goes on from what its start has learnt, and leaves what every arm leaves."""

import csv
import json

import pytest
import torch

from focused_attention.errors import UserError
from focused_attention.runs import weights
from focused_attention.schema import overlay
from focused_attention.stages import adapt, arms, measure, seek, train
from tests.stages.tiny import SMALL, prepared

ROW = SMALL["arms"]["tiny"] | {"start": "tiny", "steps": 2}
OTHER = {"model": "whisper", "focus_blocks": 0}
OVER = {
    "seek": {"learning_rate": 1e-9},
    "adapt": {"learning_rate": 1e-9, "log_every": 1, "words": [3, 3]},  # the start has at most 2
    "arms": {
        "more": ROW,
        "warmer": ROW | {"cross": {"mechanism": "focused", "max_span": None, "schedule": "off"}},
        "flat": ROW | {"regularisers": {"entropy": {"weight": 0.5}}},
    },
    "runs": {"adapt": {"start": "tiny", "arms": ["more", "warmer", "flat"], "seeds": [1]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the start was trained, and then the arms that go on from it."""
    folder = prepared(tmp_path_factory.mktemp("adapt"), OVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arms.main([])
        with pytest.raises(UserError, match=r"tiny-1\.safetensors: no such file; train this arm"):
            adapt.main(["more", "--seed", "1"])
        seek.main(["tiny", "--seed", "1"])
        for name in ("more", "warmer", "flat"):
            adapt.main([name, "--seed", "1"])
    return folder


def trained(folder, name):
    return weights.load(folder / f"runs/tiny/seek/{name}-1.safetensors")[0]


def rows(folder, name):
    with (folder / f"results/tiny/seek/{name}-1.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["more", "warmer", "flat"])
def test_the_weights_are_those_of_the_start_where_hardly_anything_is_learnt(folder, name):
    start, own = trained(folder, "tiny"), trained(folder, name)
    for key, tensor in start.items():
        torch.testing.assert_close(own[key], tensor, atol=1e-6, rtol=0)
    assert (own.keys() > start.keys()) == (name == "warmer")


def test_it_leaves_its_own_steps_and_what_decides_it(folder):
    kept = {
        name: json.loads((folder / f"results/tiny/seek/{name}-1.json").read_text())
        for name in ("tiny", "more", "warmer")
    }
    assert [kept[name]["steps"] for name in kept] == [4, 2, 2]
    assert len({kept[name]["fingerprint"] for name in kept}) == 3
    assert [row["step"] for row in rows(folder, "more")] == ["1", "2"]
    assert kept["more"]["revision"] != kept["tiny"]["revision"]
    there = json.loads((folder / "build/arms/more.json").read_text())
    assert there["start"]["arm"] == "tiny"


def test_section_adapt_says_how_it_is_trained(folder):
    """Its log has a row a step, where that of the start, by section seek, has one in two."""
    assert [row["step"] for row in rows(folder, "tiny")] == ["2", "4"]
    with (folder / "results/tiny/seek/more-1-dev.csv").open(newline="") as file:
        assert {row["task"] for row in csv.DictReader(file)} == {"recall", "recall short", "spot"}


def test_it_hears_other_batches_than_its_start_did(folder):
    assert rows(folder, "more")[0]["loss"] != rows(folder, "tiny")[0]["loss"]


def test_a_regulariser_has_a_column_of_its_own(folder):
    first, plain = rows(folder, "flat")[0], rows(folder, "more")[0]
    assert first.keys() - plain.keys() == {"entropy"}
    expected = float(plain["loss"]) - 0.5 * float(first["entropy"])
    assert float(first["loss"]) == pytest.approx(expected, rel=1e-4)


def test_every_stage_of_the_study_takes_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    measure.main(["more", "--seed", "1"])
    assert (folder / "results/tiny/entropy/more-1.csv").exists()


@pytest.mark.parametrize(("stage", "other"), [(seek, "adapt"), (train, "vary")])
def test_it_is_not_trained_from_nothing(folder, monkeypatch, stage, other):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=f"has a start; run stage {other}"):
        stage.main(["more", "--seed", "1"])


def test_weights_that_the_start_has_not_are_refused_by_name(folder, monkeypatch):
    wider = prepared(folder / "wider", overlay(OVER, {"arms": {"more": OTHER}}))
    monkeypatch.chdir(wider)
    seek.main(["tiny", "--seed", "1"])
    with pytest.raises(UserError, match=r"params\.yaml: arms\.more\.start: "):
        adapt.main(["more", "--seed", "1"])
