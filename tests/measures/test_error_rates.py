"""Error counts against jiwer, an independent implementation."""

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from focused_attention.measures.error_rates import (
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


def test_edit_distance_by_hand():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert edit_distance("abc", "") == 3
    assert edit_distance("abc", "abc") == 0
