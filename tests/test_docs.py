"""The page on the attention modules: its examples run, its tables name every argument. README:
the sections of the paper to which it sends its readers are there."""

import dataclasses
import doctest
import inspect
import re
from pathlib import Path

import pytest
import torch

from focused_attention import attention

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "attention.md"


def test_the_examples_run():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        done = doctest.testfile(
            str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS, encoding="utf-8"
        )
    assert done.attempted > 15
    assert done.failed == 0


@pytest.mark.parametrize("name", attention.MODULES)
def test_every_module_is_in_an_example(name):
    assert re.search(rf"(>>>|\.\.\.) .*\b{name}\b", PAGE.read_text("utf-8"))


@pytest.mark.parametrize("name", ["LocalAttention", "MixtureOfAutoregressiveAttention"])
def test_every_argument_is_explained(name):
    section = PAGE.read_text("utf-8").split(f"\n## `{name}`")[1].split("\n## ")[0]
    module = getattr(attention, name)
    arguments = {*inspect.signature(module).parameters}
    arguments |= {*inspect.signature(module.forward).parameters} - {"self", "q", "k", "v", "x"}
    assert not [a for a in arguments if f"`{a}`" not in section]


@pytest.mark.parametrize("name", ["focused", "hybrid"])
def test_every_setting_of_the_focus_is_explained(name):
    page = PAGE.read_text("utf-8")
    config, _ = attention.load(name)
    assert not [f.name for f in dataclasses.fields(config) if f"| `{f.name}` |" not in page]


def test_readme_names_sections_that_the_paper_has():
    readme = (ROOT / "README.md").read_text("utf-8")
    evidence = readme.split("\n## From claim to evidence\n")[1].split("\n## ")[0]
    sections = [path.read_text("utf-8") for path in (ROOT / "paper" / "sections").glob("*.typ")]
    headings = re.findall(r"^=+ (.+?)(?: <.+>)?$", "\n".join(sections), re.MULTILINE)
    named = re.findall(r"“(\w[^”]*)”", evidence)
    assert len(named) > 20
    assert {*named} <= {*headings}
    assert "paper section" not in evidence
