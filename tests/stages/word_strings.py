"""A listener small enough to test with, and words whose boundaries lie on its positions."""

from types import SimpleNamespace

import numpy as np
import torch

from focused_attention.decoding.windows import Listener
from focused_attention.models import build
from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.tasks.joined import Prompt

LAYERS, HEADS = 2, 2
SYLLABLES = ("ba", "do", "gu", "ke", "mi", "no", "pa", "ru", "si", "to")


class Syllables:
    """A tokenizer of words of one or two syllables, with the names of Whisper's."""

    eot, sot, no_timestamps = 20, 21, 22
    multilingual = False

    def prefix(self, language: str | None) -> list[int]:
        assert language is None
        return [self.sot]

    def encode(self, text: str) -> list[int]:
        """A syllable is its number, plus 10 where it begins a word."""
        tokens = []
        for word in text.split():
            pieces = [SYLLABLES.index(word[i : i + 2]) for i in range(0, len(word), 2)]
            tokens += [pieces[0] + 10, *pieces[1:]]
        return tokens

    def words(self, tokens: list[int], language: str | None) -> list[tuple[str, list[int]]]:
        words: list[tuple[str, list[int]]] = []
        for token in tokens:
            if token >= 10:
                words.append((" " + SYLLABLES[token - 10], [token]))
            else:
                text, of = words[-1]
                words[-1] = (text + SYLLABLES[token], [*of, token])
        return words


def listener() -> SimpleNamespace:
    """A Whisper with random weights that hears three seconds; heads 1-0 and 1-1 are its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(
            "whisper", n_mels=80, n_audio_ctx=150, n_audio_state=16, n_audio_head=HEADS,
            n_audio_layer=1, n_vocab=24, n_text_ctx=60, n_text_state=16, n_text_head=HEADS,
            n_text_layer=LAYERS,
        ).eval()  # fmt: skip
    found = SimpleNamespace(model=model, tokenizer=Syllables(), heads=[(1, 0), (1, 1)], span=300)
    found.hear = lambda recording, seek: Listener.hear(found, recording, seek)
    return found


def pool() -> dict[str, Prompt]:
    """Twenty words of 0.2 to 0.32 seconds, whole positions all."""
    rng = np.random.default_rng(0)
    words = [
        *SYLLABLES,
        *(a + b for a, b in zip(SYLLABLES, SYLLABLES[3:] + SYLLABLES, strict=False)),
    ]
    found = {}
    for i, word in enumerate(words):
        samples = rng.normal(scale=0.1, size=(10 + i % 7) * SAMPLE_RATE // 50).astype(np.float32)
        found[f"say-{word}"] = Prompt(key=f"say-{word}", text=word, samples=samples)
    return found
