"""Every mechanism is trained by an arm; varied arms take over what plain Echo has learned."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from focused_attention import attention, models
from focused_attention.params import load
from focused_attention.runs.arm import SLOTS
from tests.runs.conftest import PARAMS, build

ROOT = Path(__file__).parents[2]
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))
VARIED = [PARAMS.control("vary"), *(name for name in PARAMS.arms if name.startswith("vary-"))]
MODULE = "module"  # the trial whose arms are trained from a published checkpoint
DEEPER = {"vary-static-keys"}  # in a first layer they are plain attention


def trained(params) -> set[str]:
    """The mechanisms of every slot of the arms that a profile trains."""
    runs = params.runs
    arms = [name for of in (runs.train, runs.vary, runs.seek, runs.adapt) for name in of.arms]
    if any(run.endswith(f"-{MODULE}") for run in runs.trials):
        arms += params.trials[MODULE]["arms"]
    found = set()
    for arm in map(params.arm, arms):
        slots = [field for field in fields(models.MODELS[arm.model][0]) if field.name in SLOTS]
        found |= {models.Slot.of(getattr(arm, of.name) or of.default).mechanism for of in slots}
    return found


def test_every_mechanism_is_trained_by_an_arm(monkeypatch):
    monkeypatch.chdir(ROOT)
    profiles = [load(), *(load(profile=name) for name in PROFILES if name != "smoke")]
    known = set.union(*map(trained, profiles))
    lacking = [name for name in attention.names() if name not in known]
    rows = [f"vary-{name.replace('_', '-')}: {{like: echo-more, focus: {{mechanism: {name}}}}}"
            for name in lacking]  # fmt: skip
    assert not lacking, (
        "no arm trains these mechanisms: add to params.yaml, under `arms:`, and by name to "
        "`runs.vary.arms` of profiles/variants.yaml,\n" + "\n".join(rows)
    )


def test_profile_variants_compares_all_varied_arms(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert load(profile="variants").runs.vary.arms == VARIED


def test_a_mechanism_that_no_arm_has_is_missing():
    assert {"entmax", "rotary", "scheduled", "whisper"} <= trained(PARAMS)
    rest = [name for name in PARAMS.runs.vary.arms if name != "vary-entmax"]
    runs = replace(PARAMS.runs, vary=replace(PARAMS.runs.vary, arms=rest))
    assert "entmax" not in trained(replace(PARAMS, runs=runs))


@pytest.mark.parametrize("name", VARIED)
def test_it_goes_on_from_the_weights_of_echo(name, echo, heard):
    model = models.adopt(build(name, seed=1), echo)
    own, theirs = model.state_dict(), echo.state_dict()
    outside = [key for key in theirs if not key.startswith("encoder.blocks.0.attn.")]
    assert all(torch.equal(own[key], theirs[key]) for key in outside)
    output = model.train()(*heard)
    sum(output.losses.values(), output.logits.square().mean()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    same = torch.equal(model.eval()(*heard).logits, echo(*heard).logits)
    assert same or name != PARAMS.control("vary")


def test_it_differs_from_the_control_in_its_focus_block_alone():
    control = PARAMS.arm(VARIED[0])
    for name in VARIED[1:]:
        arm = PARAMS.arm(name)
        elsewhere = replace(arm, focus={}, encoder={} if name in DEEPER else arm.encoder)
        assert elsewhere == control != arm, name
