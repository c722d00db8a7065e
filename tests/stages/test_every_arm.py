"""Any arm may seek: what its mechanism cannot be asked is said, and never a crash."""

import csv
import json

import pytest
import yaml

from focused_attention import attention, results
from focused_attention.params import load
from focused_attention.stages import measure, seek
from focused_attention.verdicts import measured
from tests.stages.tiny import prepared

USES = [(name, "focus") for name in attention.names()]
USES += [(name, "cross") for name in attention.names() if attention.load(name)[1].cross]
ARMS = [f"{name}-{slot}" for name, slot in USES]
SIZES = {"utterances": 3, "words": [0], "fillers": ["words"]}
HEATS = {"temperatures": [0.5, 1.0]}
OVER = {
    "runs": {"encoder": ["moa-encoder"], "swept": [*ARMS, "moa-encoder"]},
    "measure": {
        "recall": SIZES | HEATS,
        "spot": {"utterances": 3, "prompts": [0]} | HEATS,
        "entropy": SIZES | HEATS,
        "prune": {"utterances": 3, "top_k": [2]},
        "techniques": {"utterances": 3, "words": [0], "prompts": [0]}
        | {
            "list": [
                {"technique": "temperature", "slots": ["encoder"], "value": 0.5},
                {"technique": "topk", "slots": ["encoder"], "top_k": 2},
                {"technique": "int8"},
            ]
        },
    },
    "arms": {
        arm: {"model": "echo", "heads": 2, "focus_blocks": 1} | {slot: {"mechanism": name}}
        for arm, (name, slot) in zip(ARMS, USES, strict=True)
    }
    | {
        "moa-encoder": {"model": "echo", "heads": 2, "focus_blocks": 1}
        | {"encoder": {"mechanism": "mixture_autoregressive", "local_attn_window_size": 4}}
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = prepared(tmp_path_factory.mktemp("arms"), OVER)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["measure"]["prune"]["words"] = {"cross": [0]}
    params["runs"]["measure"] = {}  # every measure of every arm
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


@pytest.fixture
def rows(folder, monkeypatch):
    """Reads a results file of the folder, which is made the current one."""
    monkeypatch.chdir(folder)

    def read(name):
        with (folder / "results/tiny" / name).open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.mark.parametrize(("name", "slot"), USES, ids=lambda value: value)
def test_an_arm_of_every_mechanism_is_measured_or_told_why_not(rows, name, slot):
    arm, cls = f"{name}-{slot}", attention.load(name)[1]
    seek.main([arm])
    assert rows(f"seek/{arm}-1-dev.csv")
    measure.main([arm])
    made = json.loads(results.RESULTS.joinpath("tiny/measure", f"{arm}-1.json").read_text())
    told = {measure: of["not_applicable"] for measure, of in made["measures"].items()}
    heated = {float(row["temperature"]) for row in rows(f"entropy/{arm}-1.csv")}
    assert heated == ({0.5, 1.0} if cls.tempered else {1.0})
    assert ("temperatures other than 1" in told["entropy"]) == (not cls.tempered)
    if slot == "focus" or cls.tempered:
        assert {row["slot"] for row in rows(f"recall/{arm}-1.csv")} == {"cross"}
        assert len(rows(f"spot/{arm}-1.csv")) == 2
        assert not told["recall"]
    else:
        assert made["measures"]["recall"]["files"] == {}
        assert told["recall"] == told["spot"] == {"": f"{cls.__name__} has no temperature"}
    if slot == "focus" or (cls.weighted and cls.projected and cls.tempered):
        assert {row["top_k"] for row in rows(f"prune/{arm}-1.csv")} == {"2", ""}
    else:
        assert "has no " in told["prune"]["cross"]
    table = {row["technique"]: row for row in rows(f"techniques/{arm}-1.csv")}
    assert sorted(table) == ["int8", "none", "temperature", "topk"]
    assert bool(table["temperature"]["note"]) == (slot == "focus" and not cls.tempered)
    assert all(row["note"].startswith("not applicable: ") for row in table.values() if row["note"])


def test_an_encoder_that_cannot_be_heated_is_told_where_that_is_asked(rows):
    seek.main(["moa-encoder"])
    measure.main(["moa-encoder"])
    assert {row["slot"] for row in rows("recall/moa-encoder-1.csv")} == {"cross"}
    params = load()
    params.measure.clear()
    params.measure["recall"] = {}
    params.runs.seek.arms[:] = params.runs.measure["recall"] = ["moa-encoder"]
    table = measured.table(params, results.RESULTS / "tiny")
    (note,) = (row for row in table if row["note"])
    assert (note["arm"], note["condition"]) == ("moa-encoder", "encoder")
    assert note["note"] == "not applicable: MixtureAutoregressive has no temperature"
