"""Every stage that runs a model gives it its batches on the model's own device."""

import pytest
import torch

from focused_attention import measures
from focused_attention.measures import techniques
from focused_attention.models.skeleton import AudioEncoder
from focused_attention.params import load
from focused_attention.runs import device
from focused_attention.runs.session import Session
from focused_attention.stages import evaluate, example, measure, seek, train
from focused_attention.tasks.batches import Batch
from tests.stages.tiny import prepared

# but one that needs an arm with a start, whose recordings come the same way
STAGES = [evaluate, example, seek, train, *sorted({*measures.names()} - {"swapped"})]
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
    monkeypatch.setattr(device, "prepare", lambda threads, arithmetic: torch.device("meta"))
    monkeypatch.setattr(Session, "trained", lambda work: work.model.to(work.hardware).eval())
    return monkeypatch


def alone(elsewhere, name):
    """Have stage measure take one measure, and techniques not try themselves beforehand."""
    choose = measure.chosen
    elsewhere.setattr(measure, "chosen", lambda subject: ({name: choose(subject)[0][name]}, {}))
    elsewhere.setattr(techniques, "refusal", lambda intervention: None)


@pytest.mark.parametrize(
    "stage", STAGES, ids=lambda s: s if isinstance(s, str) else s.__name__.rpartition(".")[2]
)
def test_a_stage_moves_its_batches_to_the_hardware(elsewhere, stage):
    def hear(encoder, mel, frames=None, **options):
        raise Heard(mel.device.type, frames.device.type, encoder.conv1.weight.device.type)

    elsewhere.setattr(AudioEncoder, "forward", hear)
    if isinstance(stage, str):
        alone(elsewhere, stage)
        stage = measure
    with pytest.raises(Heard) as heard:
        stage.main([] if stage is example else ["tiny"])
    assert heard.value.args == ("meta", "meta", "meta")


def test_a_technique_hears_where_its_model_is_whatever_the_hardware(elsewhere):
    """As in int8, which is on the CPU always."""
    asked = []

    def note(batch, hardware):
        asked.append(hardware.type)
        return batch

    elsewhere.setattr(Session, "trained", lambda work: work.model.eval())
    elsewhere.setattr(Batch, "to", note)
    alone(elsewhere, "techniques")
    measure.main(["tiny"])
    listed = load().measure["techniques"]["list"]
    assert {"technique": "int8"} in listed
    each = ["meta"] + ["cpu"] * (1 + len(listed))  # of a batch; the model untouched comes first
    assert asked == each * (len(asked) // len(each))
    assert asked
