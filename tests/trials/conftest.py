"""A small random Whisper that is asked as the published ones are, and prompts of noise."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from focused_attention import models, trials
from focused_attention.tasks.joined import Prompt


class Tokens:
    """A tokenizer of letters."""

    multilingual, no_timestamps, eot, sot = False, 1, 0, 2

    def prefix(self, language):
        assert language is None
        return [2]

    def encode(self, text):
        return [3 + ord(c) % 20 for c in text]

    def decode(self, tokens):
        return "".join(chr(96 + token) for token in tokens)


class Rules:
    """What may be written: anything."""

    timestamps, no_speech, eot = True, 3, 0

    def apply(self, logits, written):
        return logits


@pytest.fixture(scope="session")
def pool():
    rng = np.random.default_rng(0)
    return {
        f"p{i}": Prompt(
            key=f"p{i}", text=f"what {i} says",
            samples=(0.1 * rng.standard_normal(16000 + 1600 * i)).astype(np.float32),
        )
        for i in range(8)
    }  # fmt: skip


@pytest.fixture
def subject(pool, monkeypatch):
    """A trial's subject: two layers of two heads in the decoder, one of two in the encoder."""
    torch.manual_seed(0)
    whisper = models.build(
        "whisper", n_mels=80, n_audio_ctx=1500, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
        n_vocab=23, n_text_ctx=400, n_text_state=16, n_text_head=2, n_text_layer=2,
        conv_strides=(1, 2),
    ).eval()  # fmt: skip
    for parameter in whisper.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    listen = SimpleNamespace(
        conditions=["padded", "unpadded", "keys"], lengths=[5.0, 10.0], silences=[0.5, 24.5],
        words=[3, 60], longest=12.0,
    )  # fmt: skip
    listener = SimpleNamespace(model=whisper, tokenizer=Tokens(), writing=Rules())
    for name in ("hidden_keys", "looking", "writing"):
        monkeypatch.setattr(f"focused_attention.trials.{name}.speech", lambda _: pool)
    return trials.Subject(
        name="tiny.en", listener=listener, params=SimpleNamespace(listen=listen, profile="tiny")
    )
