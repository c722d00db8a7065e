"""What an arm depends on: its own mechanism files and what they import, no other's."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from focused_attention import attention, sources
from focused_attention.params import load
from focused_attention.runs.arm import files, of_study, resolve

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_a_mechanism_depends_on_what_it_imports_all_the_way():
    found = files(attention.names()["hybrid"])
    assert {"sparse/hybrid.py", "focus.py", "windows.py", "base.py"} <= found.keys()


def test_a_mechanism_depends_on_no_other():
    found = files(attention.names()["whisper"])
    shared = {"base.py", "checks.py", "positions.py", "state.py", "view.py"}
    assert found.keys() == {*shared, "softmax/whisper.py"}


def test_the_content_counts_not_the_place(tmp_path):
    copy = shutil.copytree(attention.FOLDER, tmp_path / "focused_attention" / "attention").parent
    rotary = attention.names()["rotary"]
    there = copy / rotary.relative_to(sources.PACKAGE)
    first = files(rotary)
    assert files(there, copy) == first
    assert all(len(digest) == 64 for digest in first.values())
    with (copy / "attention/positions.py").open("a") as file:
        file.write("\n")
    second = files(there, copy)
    assert {name for name in first if second[name] != first[name]} == {"positions.py"}


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_ctc_head_follows_the_weight_of_the_arms_own_study(weight):
    params = load(PARAMS)
    other = replace(params.train, ctc=0.5 - weight)
    params = replace(params, train=other, seek=replace(params.seek, ctc=weight))
    arm = resolve(params, "echo")
    assert "ctc" not in arm["sizes"]
    assert of_study(arm, params.seek)["sizes"]["ctc"] is (weight > 0)
    assert of_study(arm, params.train)["sizes"]["ctc"] is True
    assert arm == resolve(replace(params, train=replace(other, ctc=0.0)), "echo")
