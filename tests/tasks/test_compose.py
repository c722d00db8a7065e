"""Composition: exact places, disjoint splits, the same utterances again."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from focused_attention.errors import UserError
from focused_attention.speech.audio import mel_filters
from focused_attention.tasks.compose import NOISE_SECONDS, SILENCE, split_of
from focused_attention.tasks.utterances import DIGITS, TASKS


def test_every_word_lies_where_it_is_said_to(composer):
    rng = np.random.default_rng(1)
    for _ in range(20):
        utterance = composer.compose("digits", "train", rng, augment=False)
        mel = composer.render(utterance).numpy()
        words = composer.words(utterance)
        assert " ".join(word.text for word in words) == utterance.text
        silent = np.ones(len(mel), dtype=bool)
        for word, i in zip(words, utterance.recordings, strict=True):
            np.testing.assert_array_equal(
                mel[word.start : word.end], composer.store.features(i).astype(np.float32)
            )
            silent[word.start : word.end] = False
        assert (mel[silent] == SILENCE).all()
        assert len(mel) == utterance.frames == words[-1].end + utterance.gaps[-1]


def test_places_follow_the_speed(composer):
    rng = np.random.default_rng(2)
    speeds = set()
    for _ in range(30):
        utterance = composer.compose("words", "train", rng, augment=True)
        speeds.add(utterance.speed)
        for word, i in zip(composer.words(utterance), utterance.recordings, strict=True):
            recording = composer.store.recordings[i]
            assert word.end - word.start == recording.frames[utterance.speed]
    assert speeds == {0, 1, 2}


def test_noise_has_the_level_asked_for(composer):
    rng = np.random.default_rng(3)
    clean = composer.compose("digits", "train", rng, augment=False)
    fields = {name: getattr(clean, name) for name in clean.__slots__}
    noisy = type(clean)(**(fields | {"noise": 10.0}))
    signal = 10 ** composer.render(clean).double()
    added = 10 ** composer.render(noisy).double() - signal
    ratio = 10 * torch.log10(signal.mean() / added.mean())
    assert abs(float(ratio) - 10.0) < 1.0  # the noise's own power varies over a short stretch


def test_noise_is_computed_in_float64_and_then_rounded(composer):
    meta, params = composer.store.meta, composer.params
    samples = int((2 * params.max_seconds + NOISE_SECONDS) * meta.sample_rate)
    padded = np.pad(np.random.default_rng(0).standard_normal(samples), 200, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[:: meta.hop]
    power = np.abs(np.fft.rfft(frames[: samples // meta.hop] * np.hanning(401)[:-1])) ** 2
    mel = power @ mel_filters(meta.n_mels, torch.float64).numpy().T
    np.testing.assert_allclose(composer.noise.numpy(), mel / mel.mean(), rtol=6.1e-8, atol=0)


@given(st.text(min_size=1, max_size=30))
def test_a_text_is_in_one_split(text):
    assert split_of(text, 0.1, 0.1) == split_of(text, 0.1, 0.1)
    assert split_of(text, 0.0, 1.0) == "test"
    assert split_of(text, 0.0, 0.0) == "train"


def test_no_composed_text_is_in_two_splits(composer):
    rng = np.random.default_rng(4)
    texts = {
        split: {composer.compose("digits", split, rng, augment=True).text for _ in range(300)}
        for split in ("train", "dev", "test")
    }
    assert not texts["train"] & texts["dev"]
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & texts["test"]


def test_training_holds_no_evaluation_utterance(composer):
    plans = composer.training({"digits": 1.0, "transcribe": 1.0}, 20.0, seed=1)
    trained = {u.text for plan in islice(plans, 60) for u in plan}
    for task in ("digits", "transcribe"):
        for split in ("dev", "test"):
            evaluated = {u.text for u in composer.evaluation(task, split, 40)}
            assert evaluated
            assert not evaluated & trained


def test_single_words_are_never_transcribed_as_recordings(composer):
    for split in ("train", "dev", "test"):
        sentences = composer.of("transcribe", split)
        assert sentences
        assert all(" " in composer.store.recordings[i].text for i in sentences)


def test_evaluation_is_always_the_same(composer):
    first, second = (composer.evaluation("digits", "test", 30) for _ in range(2))
    assert first == second
    assert len({u.text for u in first}) == len(first)
    assert all(u.speed == 0 and u.gain == 0.0 and u.noise is None for u in first)


def test_training_plans_depend_on_the_seed_alone(composer):
    def first(seed):
        return list(islice(composer.training({"digits": 0.5, "words": 0.5}, 10.0, seed), 8))

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_a_curriculum_goes_from_the_shortest_compositions_to_all(composer):
    low, high = composer.params.digits
    plans = list(islice(composer.training({"digits": 1.0}, 10.0, 1, curriculum=400), 900))
    words = [max(len(u.recordings) for u in plan) for plan in plans]
    assert max(words[:5]) == low
    assert low < max(words[150:200]) < high
    assert max(words[-200:]) == high
    assert min(len(u.recordings) for plan in plans[-200:] for u in plan) == low


def test_batch_asks_for_the_text_and_the_end(composer):
    rng = np.random.default_rng(5)
    tokenizer = composer.store.tokenizer
    utterances = [composer.compose("words", "train", rng, augment=True) for _ in range(5)]
    batch = composer.batch(utterances)
    prefix = tokenizer.prefix("en", "transcribe")
    for b, u in enumerate(utterances):
        asked = batch.targets[b][batch.targets[b] != -100].tolist()
        assert asked == [*u.tokens, tokenizer.eot]
        assert batch.tokens[b, : len(prefix)].tolist() == prefix
        assert batch.targets[b, len(prefix) - 1] == u.tokens[0]
        assert batch.text[b, : batch.text_lengths[b]].tolist() == list(u.tokens)
        assert batch.features[b, :, u.frames :].abs().sum() == 0


def test_translation_asks_for_english(composer):
    rng = np.random.default_rng(6)
    utterance = composer.recorded("translate", composer.of("translate", "train")[0], rng, False)
    tokenizer = composer.store.tokenizer
    assert composer.batch([utterance]).tokens[0, 2] == tokenizer.prefix("en", "translate")[2]


def test_unknown_task_in_the_mixture_is_named(composer):
    with pytest.raises(UserError, match=r"train\.mixture: unknown task 'sing'"):
        next(composer.training({"sing": 1.0}, 10.0, 1))


def test_a_store_without_digits_says_what_to_add(tiny_store, composer):
    from dataclasses import replace

    from focused_attention.speech.store import FeatureStore
    from focused_attention.tasks.compose import Composer

    renamed = [replace(r, text="x") if r.text == "nine" else r for r in tiny_store.recordings]
    store = FeatureStore(tiny_store.meta, renamed, tiny_store._frames, tiny_store.tokenizer)
    with pytest.raises(UserError, match="no recording of nine"):
        Composer(store, composer.params, dev=0.1, test=0.1)


def test_tasks_and_digits_are_known():
    assert set(TASKS) == {"digits", "words", "transcribe", "translate"}
    assert len(DIGITS) == 10
