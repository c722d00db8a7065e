"""Every stage that runs a model gives it its batches on the model's own device."""

import pytest
import torch

from focused_attention.models.skeleton import AudioEncoder
from focused_attention.runs import device
from focused_attention.runs.session import Session
from focused_attention.stages import entropy, evaluate, example, guess, prune, seek, sweep, train
from focused_attention.tasks.batches import Batch
from tests.stages.tiny import prepared

STAGES = [evaluate, entropy, example, guess, prune, seek, sweep, train]
EVALUATION = {"utterances": {"digits": 2, "words": 2}, "beam": 2, "max_tokens": 4}


class Heard(Exception):
    """Stops a stage where its model hears something: the devices of features and weights."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("hardware"), {"evaluate": EVALUATION})


@pytest.fixture
def elsewhere(folder, monkeypatch):
    """The folder as the current one, on a machine whose device is `meta`, with untrained models."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(device, "prepare", lambda threads: torch.device("meta"))
    monkeypatch.setattr(Session, "trained", lambda work: work.model.to(work.hardware).eval())
    return monkeypatch


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__.rpartition(".")[2])
def test_a_stage_moves_its_batches_to_the_hardware(elsewhere, stage):
    def hear(encoder, mel, frames=None, **options):
        raise Heard(mel.device.type, frames.device.type, encoder.conv1.weight.device.type)

    elsewhere.setattr(AudioEncoder, "forward", hear)
    elsewhere.setattr(prune, "quantised", lambda model: model)
    with pytest.raises(Heard) as heard:
        stage.main([] if stage is example else ["tiny"])
    assert heard.value.args == ("meta", "meta", "meta")


def test_a_model_in_int8_hears_on_the_cpu_whatever_the_hardware(elsewhere):
    asked = []

    def note(batch, hardware):
        asked.append(hardware.type)
        return batch

    elsewhere.setattr(Session, "trained", lambda work: work.model.eval())
    elsewhere.setattr(Batch, "to", note)
    prune.main(["tiny"])
    assert set(asked) == {"meta", "cpu"}
    kinds = [kind for i, kind in enumerate(asked) if asked[i - 1] != kind]
    assert kinds == ["meta", "cpu"] * (len(kinds) // 2)  # in turns, floats first
