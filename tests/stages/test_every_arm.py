"""Any arm may seek: what its mechanism cannot be asked is left out, or refused in one line."""

import csv

import pytest
import yaml

from focused_attention import attention
from focused_attention.attention.base import Core
from focused_attention.errors import UserError
from focused_attention.stages import entropy, guess, prune, seek, sweep
from tests.stages.tiny import prepared

USES = [(name, "focus") for name in attention.names()]
USES += [(name, "cross") for name in attention.names() if attention.load(name)[1].cross]
SIZES = {"utterances": 3, "words": [0]}
OVER = {
    "runs": {"encoder": ["moa-encoder"]},
    "sweep": SIZES | {"prompts": [0], "temperatures": [0.5, 1.0]},
    "entropy": SIZES | {"temperatures": [0.5, 1.0]},
    "prune": {"utterances": 3, "top_k": [2]},
    "arms": {
        f"{name}-{slot}": {"model": "echo", "heads": 2, "focus_blocks": 1}
        | {slot: {"mechanism": name}}
        for name, slot in USES
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
    params["prune"]["words"] = {"cross": [0]}
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
def test_an_arm_of_every_mechanism_goes_through_every_stage(rows, name, slot):
    arm = f"{name}-{slot}"
    seek.main([arm])
    dev = rows(f"seek/{arm}-1-dev.csv")
    assert dev
    for row in dev:
        assert 0 <= float(row["encoder_entropy"]) <= 1
        assert 0 <= float(row["cross_entropy"]) <= 1
    entropy.main([arm])
    measured = rows(f"entropy/{arm}-1.csv")
    heated = {float(row["temperature"]) for row in measured}
    assert heated in ({1.0}, {0.5, 1.0})
    if name in ("whisper", "mixture_autoregressive"):  # that has no query projection
        assert heated == ({0.5, 1.0} if name == "whisper" else {1.0})
    assert {row["slot"] for row in measured} == {"encoder", "cross"}
    assert rows(f"entropy/{arm}-1-temperatures.csv") == []
    sweep.main([arm])
    assert {row["slot"] for row in rows(f"sweep/{arm}-1.csv")} == {"cross"}
    guess.main([arm])
    assert len(rows(f"guess/{arm}-1.csv")) == 2
    if slot == "focus" or issubclass(attention.load(name)[1], Core):
        prune.main([arm])
        assert {row["int8"] for row in rows(f"prune/{arm}-1.csv")} == {"True", "False"}
    else:
        with pytest.raises(UserError, match=f"^{arm}: stage prune cannot .* off runs.prune"):
            prune.main([arm])


def test_an_encoder_that_cannot_be_heated_is_refused_by_name_where_that_is_asked(rows):
    seek.main(["moa-encoder"])
    message = "^moa-encoder: stage sweep cannot heat its encoder .* off runs.encoder in params.yaml"
    with pytest.raises(UserError, match=message) as refused:
        sweep.main(["moa-encoder"])
    assert "\n" not in str(refused.value)
