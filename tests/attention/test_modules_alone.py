"""The modules outside this repository: importable by name, their examples run."""

import doctest
import importlib

import pytest

from focused_attention import attention


@pytest.mark.parametrize("name", attention.MODULES)
def test_a_module_is_imported_by_name(name):
    assert getattr(attention, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'LokalAttention'"):
        _ = attention.LokalAttention


@pytest.mark.parametrize("module", sorted(set(attention.MODULES.values())))
def test_the_examples_run_and_every_class_has_one(module):
    module = importlib.import_module(f"focused_attention.attention.{module}")
    assert doctest.testmod(module).failed == 0
    shown = {name for name, of in attention.MODULES.items() if module.__name__.endswith(of)}
    assert all(">>>" in getattr(module, name).__doc__ for name in shown)
