"""A varied arm goes on reading from what its start has learnt, and is compared with its control."""

import csv
import json

import pytest
import torch

from focused_attention.errors import UserError
from focused_attention.runs import weights
from focused_attention.stages import arms, collect, evaluate, sharpness, train, vary
from focused_attention.verdicts import variants
from tests.stages.tiny import SHORT, SMALL, prepared

MORE = SMALL["arms"]["tiny"] | {"start": "tiny", "steps": 2}
NAMES = ["more", "gated", "sigmoid"]
OVER = {
    "train": SHORT | {"learning_rate": 1e-9},
    "vary": {"learning_rate": 1e-9, "log_every": 1},
    "evaluate": {"utterances": {"digits": 4, "words": 4}, "beam": 2, "max_tokens": 4},
    "collect": {"resamples": 50},
    "arms": {
        "more": MORE,
        "gated": MORE | {"focus": {"mechanism": "gated", "base": 10000.0}},
        "sigmoid": MORE | {"focus": {"mechanism": "sigmoid", "base": 10000.0}},
    },
    "runs": {
        "vary": {"start": "tiny", "arms": NAMES, "seeds": [1]}, "seek": {"arms": [], "seeds": [1]},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the start was trained, then the arms that go on from it, and collected."""
    folder = prepared(tmp_path_factory.mktemp("vary"), OVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arms.main([])
        with pytest.raises(UserError, match=r"train/tiny-1\.safetensors: no such file; train this"):
            vary.main(["more", "--seed", "1"])
        train.main(["tiny", "--seed", "1"])
        for name in NAMES:
            vary.main([name, "--seed", "1"])
        for name in ("tiny", *NAMES):
            evaluate.main([name, "--seed", "1"])
        for name in NAMES:
            sharpness.main([name, "--seed", "1"])
        collect.main([])
    return folder


def rows(folder, name):
    with (folder / "results/tiny" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_weights_are_those_of_the_start_where_hardly_anything_is_learnt(folder):
    start, more, gated = (
        weights.load(folder / f"runs/tiny/train/{name}-1.safetensors")[0]
        for name in ("tiny", "more", "gated")
    )
    assert start.keys() == more.keys()
    for key, tensor in start.items():
        torch.testing.assert_close(more[key], tensor, atol=1e-6, rtol=0)
    own = gated.keys() - start.keys()
    assert {key.rpartition(".")[0] for key in own} == {"encoder.blocks.0.attn.gate"}


def test_it_leaves_its_own_steps_and_what_decides_it(folder):
    kept = {
        name: json.loads((folder / f"results/tiny/train/{name}-1.json").read_text())
        for name in ("tiny", *NAMES)
    }
    assert [one["steps"] for one in kept.values()] == [4, 2, 2, 2]
    assert len({one["fingerprint"] for one in kept.values()}) == 4
    assert kept["more"]["revision"] != kept["tiny"]["revision"]
    there = json.loads((folder / "build/arms/gated.json").read_text())
    assert there["start"]["arm"] == "tiny"


def test_section_vary_says_how_it_is_trained(folder):
    assert [row["step"] for row in rows(folder, "train/tiny-1.csv")] == ["2", "4"]
    assert [row["step"] for row in rows(folder, "train/more-1.csv")] == ["1", "2"]


def test_it_hears_other_batches_than_its_start_did_and_the_same_as_its_control(folder):
    tiny, more = (rows(folder, f"train/{name}-1.csv") for name in ("tiny", "more"))
    assert more[0]["loss"] != tiny[0]["loss"]
    tasks = [[row["task"] for row in rows(folder, f"train/{name}-1-dev.csv")] for name in NAMES]
    assert tasks[0] == tasks[1] == tasks[2] != []


def test_it_is_heard_as_its_section_says_in_the_utterances_of_its_start(folder):
    tiny, more, gated = (
        rows(folder, f"evaluate/{name}-1.csv") for name in ("tiny", "more", "gated")
    )
    assert tiny[0].keys() - more[0].keys() == {"beam"}
    assert [row["id"] for row in tiny] == [row["id"] for row in more] == [r["id"] for r in gated]
    assert more[0]["greedy"] == tiny[0]["greedy"]


def test_it_stands_in_the_table_beside_start_and_control(folder):
    table = rows(folder, "tables/variants.csv")
    assert tuple(table[0]) == variants.COLUMNS
    assert [row["arm"] for row in table] == ["tiny", *NAMES]
    start, more, gated, sigmoid = table
    assert (start["mechanism"], more["mechanism"]) == ("", "")
    assert (gated["mechanism"], gated["family"], gated["slot"]) == ("gated", "softmax", "focus")
    assert float(gated["new"]) > float(more["new"]) == 0.0
    assert (float(start["difference"]), more["difference"], start["p_holm"]) == (0.0, "", "")
    (kept,) = (
        row["wer"]
        for row in rows(folder, "tables/wer.csv")
        if (row["task"], row["decoding"]) == ("words", "greedy")
    )
    assert start["words_wer"] == kept
    assert float(gated["low"]) <= float(gated["difference"]) <= float(gated["high"])
    assert float(gated["p_holm"]) >= float(gated["p"])
    assert (sigmoid["mechanism"], sigmoid["difference"] != "") == ("sigmoid", True)


def test_it_says_how_sharp_it_attends_and_what_it_multiplies(folder):
    start, more, gated, sigmoid = rows(folder, "tables/variants.csv")
    kept = {name: rows(folder, f"evaluate/{name}-1-sharpness.csv") for name in NAMES}
    words = [row["id"] for row in rows(folder, "evaluate/more-1.csv") if row["task"] == "words"]
    for row, name in ((more, "more"), (gated, "gated")):
        assert [of["id"] for of in kept[name]] == words
        mean = sum(float(of["entropy"]) for of in kept[name]) / len(words)
        assert float(row["entropy"]) == pytest.approx(mean, rel=1e-5)
        assert 0 < float(row["entropy_low"]) <= mean <= float(row["entropy_high"]) <= 1
        assert float(row["support"]) > 1
        assert row["note"] == ""
    assert kept["sigmoid"] == []
    assert (sigmoid["entropy"], sigmoid["support"]) == ("", "")
    assert sigmoid["note"] == "its rows do not sum to one"
    assert start["multiplications_140"] == "" != sigmoid["multiplications_140"]
    long, short = (int(more[f"multiplications_{length}"]) for length in sharpness.LENGTHS[::-1])
    assert short == 4 * 140 * 16**2 + 2 * 140**2 * 2 * 16  # heads of 8 are padded to 16
    assert long > 50 * short


def test_entropy_and_support_are_means_over_what_is_no_padding():
    uniform = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [7.0, 7.0, 7.0]])
    weights = torch.stack([uniform, torch.eye(3)])[None, :, None]  # (1, 2, 1, 3, 3)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = sharpness.measured(weights, mask)
    torch.testing.assert_close(found["entropy"], torch.tensor([1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(found["support"], torch.tensor([2.0, 1.0], dtype=torch.float64))


def test_an_arm_without_a_start_cannot_go_on(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=r"arms\.tiny: has no start"):
        vary.main(["tiny", "--seed", "1"])
