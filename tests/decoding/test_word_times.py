"""The way through the picture, what is done to words afterwards, and whose they are."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from focused_attention.decoding import word_limits, word_times
from focused_attention.decoding.segments import Segment, share_words
from focused_attention.decoding.word_times import Word, heads_of, heard, path

EOT = 1000


def naive(cost):
    """The cheapest sum over every way that goes right, down or both at each step."""
    L, S = cost.shape
    total = np.full((L, S), np.inf)
    for i in range(L):
        for j in range(S):
            before = [total[i - a, j - b] for a, b in ((1, 1), (1, 0), (0, 1)) if i >= a and j >= b]
            total[i, j] = cost[i, j] + (min(before) if before else 0.0)
    return total[-1, -1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (5, 9), (9, 5), (23, 60)], ids=str)
def test_the_way_is_the_cheapest(shape):
    cost = np.random.default_rng(0).normal(size=shape)
    rows, columns = path(cost)
    steps = {*zip(np.diff(rows), np.diff(columns), strict=True)}
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, shape[0] - 1, shape[1] - 1)
    assert steps <= {(1, 1), (1, 0), (0, 1)}
    assert_allclose(cost[rows, columns].sum(), naive(cost), rtol=1e-5)


@pytest.mark.parametrize("ties", [False, True])
def test_the_way_is_openai_s(ties):
    timing = pytest.importorskip("whisper", reason="openai-whisper is not installed").timing
    rng = np.random.default_rng(1)
    for shape in [(1, 4), (4, 1), (7, 9), (12, 7), (30, 200)]:
        cost = rng.integers(0, 3, shape).astype(float) if ties else rng.normal(size=shape)
        assert_array_equal(path(cost), timing.dtw(torch.tensor(cost)))


@pytest.mark.parametrize("S", [2, 3, 4, 50])
def test_weights_are_standardised_smoothed_and_averaged(S):
    weights = torch.rand(3, 5, S, generator=torch.Generator().manual_seed(0)).double()
    standard = (weights - weights.mean(1, keepdim=True)) / weights.std(1, correction=0)[:, None]
    if S > 3:
        index = np.abs(np.arange(S)[:, None] + np.arange(-3, 4))
        index = (S - 1) - np.abs((S - 1) - index)  # reflected at both ends
        standard = standard[..., index].median(dim=-1).values
    assert_allclose(heard(weights), standard.mean(dim=0), atol=1e-12)


def test_a_column_without_any_weight_tells_nothing():
    weights = torch.rand(1, 4, 30)
    weights[..., 10:] = 0.0
    assert np.isfinite(heard(weights)).all()


class Sizes:
    n_text_layer, n_text_head = 4, 2


class Model:
    dims = Sizes


def test_heads_are_the_told_ones_or_the_upper_half():
    assert heads_of(Model, ((3, 1),)) == [(3, 1)]
    assert heads_of(Model, None) == [(2, 0), (2, 1), (3, 0), (3, 1)]
    with pytest.raises(ValueError, match=r"layers below 4 and heads below 2, given \(4, 0\)"):
        heads_of(Model, ((4, 0),))


def words_of(rng, n):
    """Words as an alignment gives them: some marks, some far too long, one after the other."""
    texts = [" one", " two", " three", ".", "!", ",", ' "', " (", "?", " four"]
    edges = np.cumsum(rng.choice([0.0, 0.1, 0.2, 0.3, 2.0], n + 1)).round(2)
    chosen = rng.choice(texts, n)
    return [
        Word(text=str(t), tokens=[i] * int(rng.integers(1, 3)), start=a, end=b, probability=0.5)
        for i, (t, a, b) in enumerate(zip(chosen, edges[:-1], edges[1:], strict=True))
    ]  # fmt: skip


def test_words_and_their_limits_are_openai_s(monkeypatch):
    """Random alignments and segments; their `find_alignment` is a stand-in that gives ours."""
    timing = pytest.importorskip("whisper", reason="openai-whisper is not installed").timing
    rng = np.random.default_rng(0)
    for _ in range(200):
        words = words_of(rng, int(rng.integers(1, 12)))
        given = [
            timing.WordTiming(w.text, list(w.tokens), w.start, w.end, w.probability) for w in words
        ]
        monkeypatch.setattr(timing, "find_alignment", lambda *_, given=given, **__: given)
        tokens = [token for word in words for token in word.tokens]
        pieces = np.split(tokens, sorted(rng.integers(0, len(tokens) + 1, rng.integers(0, 3))))
        edges = np.sort(rng.uniform(3, 3 + words[-1].end + 1, 2 * len(pieces))).round(2)
        theirs = [
            {"tokens": [int(t) for t in piece], "start": a, "end": b, "seek": 300}
            for piece, a, b in zip(pieces, edges[::2], edges[1::2], strict=True)
        ]
        ours = [
            Segment(start=s["start"], end=s["end"], text="", tokens=s["tokens"]) for s in theirs
        ]
        last = float(rng.choice([0.0, 2.9]))
        tokenizer = type("Tokenizer", (), {"eot": EOT})
        timing.add_word_timestamps(
            segments=theirs, model=None, tokenizer=tokenizer, mel=None, num_frames=3000,
            last_speech_timestamp=last,
        )  # fmt: skip
        share_words(ours, copy.deepcopy(words), EOT, 3.0, last)
        for own, other in zip(ours, theirs, strict=True):
            assert [w.text for w in own.words] == [w["word"] for w in other["words"]]
            times = [(w.start, w.end) for w in own.words]
            assert_allclose(times, [(w["start"], w["end"]) for w in other["words"]], atol=1e-9)
            assert_allclose((own.start, own.end), (other["start"], other["end"]), atol=1e-9)


def test_marks_join_their_words():
    texts = [' "', " (", " yes", ",", " no", ".", '"']
    words = [
        Word(text=text, tokens=[i], start=i, end=i + 1, probability=1.0)
        for i, text in enumerate(texts)
    ]
    joined = word_limits.join_marks(words)
    assert [(w.text, w.tokens) for w in joined] == [
        (' " ( yes,', [0, 1, 2, 3]),
        (' no."', [4, 5, 6]),
    ]
    assert [(w.start, w.end) for w in joined] == [(2, 3), (4, 5)]


def test_nothing_said_has_no_words(monkeypatch):
    found = word_times.align(None, None, None, [], [], [], positions=9)
    assert (found.words, found.tokens, found.picture.shape) == ([], (), (0, 9))
