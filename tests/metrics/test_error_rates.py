"""Error counts against jiwer, and those of a machine without rapidfuzz against those with it."""

import importlib.util
import sys
from unittest.mock import patch

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focused_attention.metrics import error_rates
from focused_attention.metrics.error_rates import (
    character_errors,
    edit_distance,
    error_rate,
    word_errors,
)

words = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=8).map(" ".join)
hypotheses = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)


@given(st.lists(st.tuples(words, hypotheses), min_size=1, max_size=6))
def test_corpus_rates_equal_jiwer(pairs):
    references, given_texts = map(list, zip(*pairs, strict=True))
    ours = error_rate([word_errors(r, h) for r, h in pairs])
    assert abs(ours - jiwer.wer(references, given_texts)) < 1e-12
    ours = error_rate([character_errors(r, h) for r, h in pairs])
    assert abs(ours - jiwer.cer(references, given_texts)) < 1e-12


@pytest.fixture(scope="module")
def alone():
    """The module as it is where rapidfuzz cannot be imported."""
    spec = importlib.util.spec_from_file_location("alone", error_rates.__file__)
    module = importlib.util.module_from_spec(spec)
    with patch.dict(sys.modules, {"rapidfuzz.distance.Levenshtein": None}):
        spec.loader.exec_module(module)
    assert module.edit_distance.__module__ == "alone"
    return module


@given(pair=st.tuples(words, hypotheses))
def test_a_machine_without_rapidfuzz_counts_the_same(alone, pair):
    assert alone.word_errors(*pair) == word_errors(*pair)
    assert alone.character_errors(*pair) == character_errors(*pair)


def test_edit_distance_by_hand():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert edit_distance("abc", "") == 3
    assert edit_distance("abc", "abc") == 0
