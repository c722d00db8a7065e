"""Needles in haystacks: what is said, what is asked, what must be written, and where it is said."""

from itertools import islice

import numpy as np
import pytest
import torch

from focused_attention.errors import UserError
from focused_attention.haystack import KEYS, HaystackComposer, closed
from focused_attention.params import Haystack
from focused_attention.tasks import DIGITS, Composer, split_of
from tests.conftest import random_store

OBJECTS = ("the key", "it now", "one", "the line", "again")
PARAMS = Haystack(
    reading=3, strings=[1, 4], pairs=[1, 2], words=[0, 3], digits=[1, 3], prompts=[0, 2]
)


@pytest.fixture(scope="module")
def haystacks(tmp_path_factory, composer):
    """All keys and digits, 3 words and 20 sentences to pass over, of which some hold a digit."""
    prompts = [f"{a} {b} please" for a in ("press", "say", "hold", "dial") for b in OBJECTS]
    texts = [*sorted(KEYS), *sorted(DIGITS), "star", "pound", "hello", *prompts]
    store = random_store(tmp_path_factory.mktemp("hay") / "features", texts)
    return HaystackComposer(Composer(store, composer.params, dev=0.1, test=0.1), PARAMS)


def said(haystacks, utterance):
    return [haystacks.composer.store.recordings[i].text for i in utterance.recordings]


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_recall_asks_for_the_value_of_a_key_and_what_follows(haystacks, split):
    rng = np.random.default_rng(1)
    for _ in range(30):
        u = haystacks.recall(split, rng, pairs=2, hay=3, augment=False)
        texts = said(haystacks, u)
        needles = [t for t in texts if t in KEYS | DIGITS]
        keys, values = needles[::2], needles[1::2]
        assert set(keys) <= KEYS and len(set(keys)) == 2  # noqa: PT018
        assert set(values) <= DIGITS
        assert len(texts) == 2 * 2 + 3
        for key, value in zip(keys, values, strict=True):  # a pair is never parted
            assert texts[texts.index(key) + 1] == value
        answer = u.text.split()
        assert needles[-len(answer) :] == answer
        asked = needles[-len(answer) - 1]
        assert asked in KEYS
        decode = haystacks.composer.store.tokenizer.decode
        assert decode(u.query) == asked
        assert decode(u.heard) == " ".join(needles)
        assert decode(u.tokens) == u.text
        assert split_of(" ".join(needles), 0.1, 0.1) == split


def test_spot_asks_for_the_digits_among_prompts_of_its_split(haystacks):
    rng = np.random.default_rng(2)
    recordings = haystacks.composer.store.recordings
    for split in ("train", "test"):
        u = haystacks.spot(split, rng, digits=3, prompts=2, augment=False)
        prompts = [recordings[i] for i in u.recordings if recordings[i].text not in DIGITS]
        assert u.text.split() == [t for t in said(haystacks, u) if t in DIGITS]
        assert len(prompts) == 2
        assert all(r.split == split and not DIGITS & set(r.text.split()) for r in prompts)
        assert u.query == ()


def test_evaluation_is_fixed_and_never_trained_on(haystacks):
    def needles(u):
        return " ".join(t for t in said(haystacks, u) if t in KEYS | DIGITS)

    first, second = (haystacks.evaluation("recall", "test", 2, 3, 40) for _ in range(2))
    assert first == second
    plans = haystacks.training({"recall": 0.7, "spot": 0.3}, 20.0, seed=1)
    trained = {needles(u) for plan in islice(plans, 80) for u in plan}
    assert len(trained) > 200
    assert not trained & {needles(u) for u in first}


def test_a_curriculum_begins_with_the_fewest(haystacks):
    plans = list(islice(haystacks.training({"recall": 1.0}, 20.0, 1, curriculum=500), 900))
    sizes = [max(len(u.recordings) for u in plan if u.task == "recall") for plan in plans[-500:]]
    first = next(plan for plan in plans if plan[0].task == "recall")
    assert max(len(u.recordings) for u in first) <= 2 * 2 + 1  # a word to pass over, not 3
    assert max(sizes) == 2 * 2 + 3


def test_strings_are_read_before_anything_is_sought(haystacks):
    plans = list(islice(haystacks.training({"words": 0.2, "recall": 0.8}, 20.0, seed=1), 400))
    strings = [all(u.task == "words" for u in plan) for plan in plans]
    reading = strings.index(False)
    assert reading >= PARAMS.reading
    assert max(len(u.recordings) for plan in plans[:reading] for u in plan) == 1  # the first pool
    later = [u for plan in plans[reading:] for u in plan]
    words = [u for u in later if u.task == "words"]
    assert 0.1 < len(words) / len(later) < 0.3
    assert {len(u.recordings) for u in words} == {1, 2, 3, 4}
    assert all(set(u.text.split()) <= KEYS | DIGITS and u.prompt == "transcribe" for u in words)
    assert all(split_of(u.text, 0.1, 0.1) == "train" for u in words)


def test_an_unknown_task_is_an_error(haystacks):
    with pytest.raises(UserError, match=r"seek\.mixture: unknown task 'digits'"):
        list(islice(haystacks.training({"digits": 1.0}, 20.0, seed=1), 200))


def test_every_needle_is_a_token_of_its_own(haystacks):
    store = closed(haystacks.composer.store)
    tokens = {r.text: r.tokens for r in store.recordings}
    needles = [tokens[word] for word in sorted(KEYS | DIGITS)]
    assert len(set(needles)) == len(needles)
    assert all(len(one) == 1 for one in needles)
    assert tokens["hello"] == (store.tokenizer.unk,)


def test_sources_are_where_the_answer_is_said(haystacks):
    utterances = haystacks.evaluation("recall", "test", 2, 3, 6)
    utterances += haystacks.evaluation("spot", "test", 2, 1, 4)
    batch = haystacks.composer.batch(utterances)
    start, end = haystacks.sources(batch)
    tokenizer = haystacks.composer.store.tokenizer
    for b, u in enumerate(utterances):
        placed = ~start[b].isnan()
        written = batch.targets[b][placed]
        assert tokenizer.decode(written.tolist()) == u.text
        assert batch.targets[b][~placed & (batch.targets[b] != -100)].tolist() == [tokenizer.eot]
        words = {(w.start, w.end) for w in haystacks.composer.words(u) if w.text in u.text.split()}
        assert set(zip(start[b][placed].tolist(), end[b][placed].tolist(), strict=True)) <= words
    assert (end[~start.isnan()] > start[~start.isnan()]).all()
    assert torch.equal(start.isnan(), end.isnan())


def test_needles_that_no_draw_can_be_are_an_error(haystacks):
    rng = np.random.default_rng(3)
    with pytest.raises(UserError, match="none of 1000 draws of 2 words belongs to split 'nowhere'"):
        haystacks.spot("nowhere", rng, digits=2, prompts=0, augment=False)
