"""A feature store small enough to look through, with every digit and some sentences."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from focused_attention.corpora import checkpoints
from focused_attention.params import Tasks
from focused_attention.speech import store as stores
from focused_attention.speech.store import FeatureStore, Meta, Recording
from focused_attention.speech.tokens import Tokenizer
from focused_attention.tasks.compose import Composer

# The same examples every time, and no failures of a busy machine's making.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
]  # fmt: skip
NEEDLES = {  # the names of their prompts
    word: f"digits/{group}{place}"
    for group, words in (("", DIGITS), ("day-", DAYS), ("mon-", MONTHS))
    for place, word in enumerate(words)
}
SENTENCES = [f"{a} the {b} please" for a in ("press", "say", "enter") for b in DIGITS]
SPEEDS = (1.0, 0.9, 1.1)


def random_store(folder: Path, texts: list[str]) -> FeatureStore:
    """Random features of the texts; of five sentences one is test, one dev and three are train."""
    rng = np.random.default_rng(0)
    tokenizer = Tokenizer.train(texts, kind="words", languages=["en"])
    recordings, features = [], []
    for i, text in enumerate(texts):
        frames = tuple(round((6 + i % 5) * len(text.split()) / speed) for speed in SPEEDS)
        split = ("test", "dev", "train", "train", "train")[i % 5] if " " in text else "train"
        tokens = tuple(tokenizer.encode(text))
        recordings.append(
            Recording(
                id=f"tiny/en/{i}", corpus="tiny", language="en", key=NEEDLES.get(text, str(i)),
                speaker="nobody", split=split, text=text, translation=text, tokens=tokens,
                translation_tokens=tokens, seconds=frames[0] * 0.02, frames=frames,
            )
        )  # fmt: skip
        features += [rng.uniform(-6, 1, size=(n, 8)).astype(np.float16) for n in frames]
    meta = Meta(sample_rate=16000, hop=320, n_mels=8, speeds=SPEEDS)
    stores.write(folder, meta, recordings, features, tokenizer)
    return FeatureStore.open(folder)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory) -> FeatureStore:
    """10 digits, 2 other words, 30 sentences."""
    texts = [*DIGITS, "star", "pound", *SENTENCES]
    return random_store(tmp_path_factory.mktemp("tiny") / "features", texts)


@pytest.fixture(scope="session")
def composer(tiny_store) -> Composer:
    params = Tasks(
        language="en", digits=[1, 4], words=[1, 3], gap=[0.04, 0.1], max_seconds=2.0,
        gain=6.0, noise=[10.0, 40.0],
    )  # fmt: skip
    return Composer(tiny_store, params, dev=0.1, test=0.1)


@pytest.fixture(scope="session")
def tiny_en(request) -> Path:
    """The folder of OpenAI's tiny.en, fetched once and kept with pytest's own cache."""
    return checkpoints.fetch("tiny.en", request.config.cache.mkdir("checkpoints"))
