"""Every arm that goes on from plain Echo takes its weights over, and starts as what it should."""

from dataclasses import replace

import pytest
import torch

from focused_attention import models
from focused_attention.inference import attentions
from focused_attention.runs.arm import check_starts, resolve
from tests.runs.conftest import PARAMS, build

SCHEDULES = ("constant", "sharper", "softer", "log", "scalable", "learned", "true", "false",
             "true-0.01", "false-0.01")  # fmt: skip
ARMS = [f"echo-{slot}-{of}" for slot in ("self", "cross-given") for of in SCHEDULES]
ARMS += [
    f"echo-{positions}-{window}"
    for positions in ("window", "alibi", "nopos")
    for window in (4, 8, 16, 32, 64, "none")
]
NEUTRAL = {  # compute what Echo does before their first step
    *("echo-self-constant", "echo-cross-given-constant", "echo-window-none"),
    *("echo-self-learned", "echo-cross-given-learned"),
}


@pytest.mark.parametrize("name", ARMS)
@torch.inference_mode()
def test_it_starts_from_the_weights_of_echo(name, echo, heard):
    model = models.adopt(build(name, seed=1), echo)
    own, theirs = model.state_dict(), echo.state_dict()
    assert all(torch.equal(own[key], theirs[key]) for key in theirs)
    assert {key.rpartition(".")[2] for key in own.keys() - theirs.keys()} <= {"level", "slope"}
    same = torch.equal(model(*heard).logits, echo(*heard).logits)
    assert same == (name in NEUTRAL)


@pytest.mark.parametrize("name", ARMS)
def test_it_is_what_its_name_says(name):
    model = build(name)
    encoder, cross = attentions(model, "encoder"), attentions(model, "cross")
    about, _, of = name.removeprefix("echo-").replace("cross-given", "cross").partition("-")
    if about in ("self", "cross"):
        changed, others = (encoder, cross) if about == "self" else (cross, encoder)
        assert "ScheduledAttention" not in {type(layer).__name__ for layer in others}
        (schedule,) = {layer.config.schedule for layer in changed}
        (scale,) = {layer.config.temp_scale for layer in changed}
        slopes = {layer.config.slope for layer in changed}
        assert schedule == {
            "constant": "constant", "sharper": "power", "softer": "power", "log": "log_n",
            "scalable": "scalable", "learned": "learned", "true": "published_sharper",
            "false": "published_softer",
        }[of.removesuffix("-0.01")]  # fmt: skip
        assert [slope < 0 for slope in slopes] == [of != "softer"]
        assert (scale == 0.01) == (of not in ("true", "false"))
        assert {layer.base for layer in changed} == {10000.0 if about == "self" else None}
    else:
        ways = {"window": "rotary", "alibi": "alibi", "nopos": "none"}
        for layer in encoder:
            assert layer.config.positions == ways[about]
            assert layer.config.window == (None if of == "none" else int(of))


@pytest.mark.parametrize(
    ("slot", "layers", "centre"), [("self", 2, 271.0), ("cross-given", 1, 140.0)]
)
def test_schedules_of_a_slot_are_centred_alike(slot, layers, centre):
    """At the mean over a slot's rows of training, so that slopes alone are compared."""
    arms = [resolve(PARAMS, f"echo-{slot}-{schedule}")["slots"] for schedule in SCHEDULES]
    given = [of for slots in arms for of in slots.values() if of["mechanism"] == "scheduled"]
    assert len(given) == layers * len(SCHEDULES)
    assert {(of["centre"], of["longest"]) for of in given} == {(centre, 742.0)}


def test_they_can_be_listed_to_be_adapted():
    runs = replace(PARAMS.runs, adapt=replace(PARAMS.runs.adapt, arms=ARMS))
    check_starts(replace(PARAMS, runs=runs))
