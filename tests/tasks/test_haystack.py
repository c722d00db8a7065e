"""Needles in haystacks: what is said, what is asked, what must be written, and where it is said."""

from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise, permutations

import numpy as np
import pytest
import torch

from focused_attention.errors import UserError
from focused_attention.params import Haystack
from focused_attention.tasks.compose import Composer, split_of
from focused_attention.tasks.haystack import HaystackComposer, closed
from focused_attention.tasks.passing import FILLERS, order
from focused_attention.tasks.sizes import Recall, Spot
from tests.conftest import DAYS, DIGITS, MONTHS, random_store

OBJECTS = ("the key", "it now", "one", "the line", "again")
KEYS = {*DAYS, *MONTHS}
VALUES = set(DIGITS)
PARAMS = Haystack(
    reading=3, strings=[1, 4], asked=0.5, pairs=[1, 2], lone_digits=[0, 2], lone_keys=[0, 1],
    words=[0, 3], fillers={"words": 0.5, "silence": 0.25, "prompts": 0.25}, digits=[1, 3],
    prompts=[0, 2],
)  # fmt: skip
SIZE = Recall(pairs=2, digits=2, keys=1, words=3)


@pytest.fixture(scope="module")
def haystacks(tmp_path_factory, composer):
    """All keys and digits, 3 words and 20 sentences to pass over, of which some hold a digit."""
    prompts = [f"{a} {b} please" for a in ("press", "say", "hold", "dial") for b in OBJECTS]
    texts = [*sorted(KEYS), *sorted(VALUES), "star", "pound", "hello", *prompts]
    store = random_store(tmp_path_factory.mktemp("hay") / "features", texts)
    return HaystackComposer(Composer(store, composer.params, dev=0.1, test=0.1), PARAMS)


def said(haystacks, utterance):
    return [haystacks.composer.store.recordings[i].text for i in utterance.recordings]


def paired(texts):
    """The pairs of what is said: a key and the digit right after it."""
    return [(a, b) for a, b in pairwise(texts) if a in KEYS and b in VALUES]


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_recall_asks_for_the_value_of_a_key(haystacks, split, filler):
    rng = np.random.default_rng(1)
    decode = haystacks.composer.store.tokenizer.decode
    for _ in range(30):
        u = haystacks.recall(split, rng, replace(SIZE, filler=filler), augment=False)
        texts = said(haystacks, u)
        needles = [t for t in texts if t in KEYS | VALUES]
        keys, values = (sorted(t for t in needles if t in kind) for kind in (KEYS, VALUES))
        assert len(set(keys)) == len(keys) == 2 + 1
        assert len(set(values)) == len(values) == 2 + 2
        pairs = paired(texts)
        assert len(pairs) == 2  # no lone key has a digit after it: not in silence either
        assert paired(needles) == pairs
        assert u.text == dict(pairs)[decode(u.query)] == decode(u.tokens)
        assert decode(u.heard) == " ".join(needles)


def test_the_split_is_that_of_the_pairs(haystacks):
    rng = np.random.default_rng(4)
    for split in ("train", "dev", "test"):
        told = Counter()
        for _ in range(20):
            u = haystacks.recall(split, rng, SIZE, augment=False)
            pairs = paired(said(haystacks, u))
            orders = {" ".join(w for pair in order for w in pair) for order in permutations(pairs)}
            told.update({split_of(text, 0.1, 0.1) for text in orders})
        assert told[split] == 20  # in one of its orders, the one in which it was drawn


def test_fillers_change_nothing_but_what_is_passed_over(haystacks):
    composer, decode = haystacks.composer, haystacks.composer.store.tokenizer.decode
    sized = replace(SIZE, words=9)
    found = {
        filler: haystacks.evaluation("test", replace(sized, filler=filler), 12)
        for filler in FILLERS
    }
    prompts = 0
    for of_words, of_silence, of_prompts in zip(*found.values(), strict=True):
        needles = [
            [(w.text, w.start, w.end) for w in composer.words(u) if w.text in KEYS | VALUES]
            for u in (of_words, of_silence, of_prompts)
        ]
        assert needles[0] == needles[1] == needles[2]
        assert of_words.frames == of_silence.frames == of_prompts.frames
        assert decode(of_words.query) == decode(of_silence.query) == decode(of_prompts.query)
        assert len(of_silence.recordings) == len(needles[0])
        others = [t for t in said(haystacks, of_prompts) if t not in KEYS | VALUES]
        assert all(" " in text and not (KEYS | VALUES) & set(text.split()) for text in others)
        prompts += len(others)
        ends = [(w.start, w.end) for w in composer.words(of_prompts)]
        assert all(a[1] <= b[0] for a, b in pairwise(ends))
    assert prompts > 12


def test_an_unknown_filler_is_an_error(haystacks):
    with pytest.raises(ValueError, match="unknown 'music'; choose one of words, silence, prompts"):
        haystacks.evaluation("test", replace(SIZE, filler="music"), 1)


def test_every_order_is_as_likely_as_another():
    rng = np.random.default_rng(0)
    drawn = Counter(order(rng, pairs=1, digits=1, keys=1, words=1) for _ in range(4000))
    kinds = {"".join(p) for p in permutations("pdkw")}
    allowed = {kind for kind in kinds if "kd" not in kind.replace("w", "")}
    assert set(drawn) == allowed
    assert len(allowed) == 24 - 8
    assert max(drawn.values()) < 1.4 * min(drawn.values())


def test_in_training_every_key_of_a_pair_is_asked_and_only_answers_are_asked_for(haystacks):
    rng, composer = np.random.default_rng(6), haystacks.composer
    decode = composer.store.tokenizer.decode
    firsts = set()
    for _ in range(40):
        u = haystacks.recall("train", rng, Recall(pairs=3, digits=1, keys=1, words=1), True)
        value = dict(paired(said(haystacks, u)))
        answers, batch = u.text.split(), composer.batch([u])
        written = batch.targets[0][batch.targets[0] != -100].tolist()
        assert decode(written) == u.text
        assert written[-1] == composer.store.tokenizer.eot
        dialogue = decode([*u.query, *u.tokens]).split()
        assert dialogue[1::2] == answers
        assert [value[key] for key in dialogue[::2]] == answers
        assert set(dialogue[::2]) == set(value)
        firsts.add(list(value).index(dialogue[0]))
    assert firsts == {0, 1, 2}


def test_spot_asks_for_the_digits_among_prompts_of_its_split(haystacks):
    rng = np.random.default_rng(2)
    recordings = haystacks.composer.store.recordings
    for split in ("train", "test"):
        u = haystacks.spot(split, rng, Spot(digits=3, prompts=2), augment=False)
        prompts = [recordings[i] for i in u.recordings if recordings[i].text not in VALUES]
        assert u.text.split() == [t for t in said(haystacks, u) if t in VALUES]
        assert len(prompts) == 2
        assert all(r.split == split and not VALUES & set(r.text.split()) for r in prompts)
        assert u.query == ()


def test_evaluation_is_fixed_and_never_trained_on(haystacks):
    def needles(u):
        return " ".join(t for t in said(haystacks, u) if t in KEYS | VALUES)

    first, second = (haystacks.evaluation("test", SIZE, 40) for _ in range(2))
    assert first == second
    plans = haystacks.training({"recall": 0.7, "spot": 0.3}, 20.0, seed=1)
    trained = {needles(u) for plan in islice(plans, 80) for u in plan}
    assert len(trained) > 200
    assert not trained & {needles(u) for u in first}


def test_a_curriculum_begins_with_the_fewest(haystacks):
    plans = list(islice(haystacks.training({"recall": 1.0}, 20.0, 1, curriculum=500), 900))
    sizes = [max(len(u.recordings) for u in plan if u.task == "recall") for plan in plans[-500:]]
    first = next(plan for plan in plans if plan[0].task == "recall")
    assert max(len(u.recordings) for u in first) <= 2 * 2 + 1 + 1 + 1  # one of each, not all
    assert max(sizes) == 2 * 2 + 2 + 1 + 3


def is_string(haystacks, utterance):
    """Whether an utterance holds different keys and digits, in any order, and nothing else."""
    texts = said(haystacks, utterance)
    return set(texts) <= KEYS | VALUES and len(set(texts)) == len(texts)


def test_strings_come_before_anything_is_sought(haystacks):
    plans = list(islice(haystacks.training({"words": 0.2, "spot": 0.8}, 20.0, seed=1), 400))
    reading = next(i for i, plan in enumerate(plans) if any(u.task == "spot" for u in plan))
    first = [u for plan in plans[:reading] for u in plan]
    assert reading >= PARAMS.reading
    assert {len(u.recordings) for u in first} == {1}  # the first pool
    assert all(is_string(haystacks, u) for u in first)
    later = [u for plan in plans[reading:] for u in plan]
    strings = [u for u in later if u.task != "spot"]
    assert 0.1 < len(strings) / len(later) < 0.3
    assert {len(u.recordings) for u in strings} == {1, 2, 3, 4}
    assert all(split_of(" ".join(said(haystacks, u)), 0.1, 0.1) == "train" for u in strings)


def test_a_string_is_written_whole_or_asked_word_by_word(haystacks):
    rng, decode = np.random.default_rng(5), haystacks.composer.store.tokenizer.decode
    strings = [haystacks.string("train", rng, words=4, augment=False) for _ in range(200)]
    assert all(is_string(haystacks, u) for u in strings)
    whole = [u for u in strings if u.task == "words"]
    assert 60 < len(whole) < 140
    assert all(u.text.split() == said(haystacks, u) and not u.query for u in whole)
    assert {u.prompt for u in whole} == {"transcribe"}
    others = [u for u in strings if u.task == "recall"]
    assert len(others) == len(strings) - len(whole)
    for u in others:
        texts, dialogue = said(haystacks, u), decode([*u.query, *u.tokens]).split()
        assert sorted(dialogue[::2]) == sorted(texts[:-1])
        assert [texts[texts.index(word) + 1] for word in dialogue[::2]] == dialogue[1::2]
        assert dialogue[1::2] == u.text.split()
        assert decode(u.heard) == " ".join(texts)


def test_an_unknown_task_is_an_error(haystacks):
    with pytest.raises(UserError, match=r"seek\.mixture: unknown task 'digits'"):
        list(islice(haystacks.training({"digits": 1.0}, 20.0, seed=1), 200))


def test_every_needle_is_a_token_of_its_own(haystacks):
    store = closed(haystacks.composer.store)
    tokens = {r.text: r.tokens for r in store.recordings}
    needles = [tokens[word] for word in sorted(KEYS | VALUES)]
    assert len(set(needles)) == len(needles)
    assert all(len(one) == 1 for one in needles)
    assert tokens["hello"] == (store.tokenizer.unk,)


def test_sources_are_where_the_answer_is_said(haystacks):
    utterances = haystacks.evaluation("test", SIZE, 6)
    utterances += haystacks.evaluation("test", Spot(digits=2, prompts=1), 4)
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
        haystacks.spot("nowhere", rng, Spot(digits=2), augment=False)
