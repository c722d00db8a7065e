"""The string that is looked at: true words, a spectrogram, and rows that are softmax weights."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from focused_attention import models
from focused_attention.plots import listened, overview
from focused_attention.tasks.joined import Prompt
from focused_attention.trials import Subject, example


class Tokens:
    """A tokenizer of letters."""

    multilingual, sot, no_timestamps, eot = False, 2, 1, 0

    def prefix(self, language):
        return [self.sot]

    def encode(self, text):
        return [3 + ord(c) % 20 for c in text]

    def decode(self, tokens):
        return "".join(chr(97 + token) for token in tokens if token > 2)


class Nothing:
    """Rules that forbid nothing."""

    timestamps, eot, no_speech = True, 0, 1

    def apply(self, logits, written):
        return logits


@pytest.fixture
def trial(monkeypatch):
    torch.manual_seed(0)
    whisper = models.build(
        "whisper", n_mels=80, n_audio_ctx=1500, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
        n_vocab=23, n_text_ctx=80, n_text_state=16, n_text_head=2, n_text_layer=2,
        conv_strides=(1, 2),
    ).eval()  # fmt: skip
    for parameter in whisper.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rng = np.random.default_rng(0)
    words = {
        key: Prompt(key=key, text=key, samples=rng.standard_normal(8000).astype(np.float32))
        for key in ("one", "two", "three", "four7")
    }
    reader = SimpleNamespace(read=lambda folder, language: [])
    monkeypatch.setattr(example.corpora, "load", lambda name, languages: reader)
    monkeypatch.setattr(example, "prompts", lambda found, **limits: words)
    listener = SimpleNamespace(model=whisper, tokenizer=Tokens(), heads=[(1, 0)], writing=Nothing())
    settings = example.Settings(seconds=2.0, gap=[0.04, 0.3], temperatures=[0.5, 1.0, 4.0])
    return example.Example(Subject(name="tiny", listener=listener, params=None), settings)


@pytest.fixture
def rows(trial):
    return [row for cell in trial.cells() for row in trial.rows(cell)]


def test_words_stand_where_their_samples_do(trial, rows):
    words = [row for row in rows if row["kind"] == "word"]
    assert {word["key"] for word in words} == {"one", "two", "three"}  # alphabetic ones alone
    for word in words:
        assert word["end"] - word["start"] == pytest.approx(0.5)
    assert all(a["end"] + 0.04 <= b["start"] + 1e-4 for a, b in pairwise(words))


def test_sharper_rows_are_sharper(rows):
    def largest(heat):
        part = [row["values"].split() for row in rows if row["temperature"] == heat]
        return np.mean([max(map(float, row)) for row in part])

    assert largest(0.5) > largest(1.0) > largest(4.0)


def test_rows_at_one_are_the_untouched_models(trial, rows):
    listener, joined = trial.subject.listener, trial.joined
    text = [*Tokens().encode(f" {joined.text}"), 0]
    with torch.inference_mode():
        audio = listener.model.encoder(trial.mel).audio
        given = torch.tensor([[2, 1, *text]])
        weights = listener.model.decoder(given, audio, need_weights=True).weights[1][0, 0]
    maps = [row for row in rows if row["kind"] == "map" and row["temperature"] == 1.0]
    assert len(maps) == len(text)
    found = np.array([row["values"].split() for row in maps], dtype=float)
    expected = weights[1:-1, : found.shape[1]].numpy()
    np.testing.assert_allclose(found, expected, rtol=0.06, atol=1e-6)  # two digits are kept


def test_it_can_be_drawn(rows):
    import pandas as pd

    table = pd.DataFrame(rows)
    assert len(listened(table).axes) == 4
    losses = pd.DataFrame(
        {"model": "tiny.en", "slot": "cross", "layer": "all", "technique": "none",
         "condition": "keys", "keys": keys, "temperature": heat, "change": heat - 1,
         "change_low": heat - 1.1, "change_high": heat - 0.9}
        for keys in (270.0, 1475.0) for heat in (0.5, 1.0, 2.0)
    )  # fmt: skip
    assert len(overview(table, losses).axes) == 5
