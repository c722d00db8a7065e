"""The feature store: views of one file, quick to open, written whole or not at all."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.paths import FEATURES
from focused_attention.speech import store
from focused_attention.speech.store import FeatureStore, Meta, Recording
from focused_attention.speech.tokens import Tokenizer

META = Meta(sample_rate=16000, hop=320, n_mels=4, speeds=(1.0, 0.9))
TOKENIZER = Tokenizer.train(["one two"], kind="chars", languages=["en"])


def recording(i):
    return Recording(
        id=f"c/en/{i}", corpus="c", language="en", key=str(i), speaker="", split="train",
        text="one", translation=None, tokens=(2, 3), translation_tokens=None, seconds=0.1,
        frames=(2 + i, 3 + i),
    )  # fmt: skip


RECORDINGS = [recording(i) for i in range(3)]
ARRAYS = [
    np.full((frames, 4), 10 * i + speed, np.float16)
    for i, r in enumerate(RECORDINGS)
    for speed, frames in enumerate(r.frames)
]


@pytest.fixture
def folder(tmp_path):
    store.write(tmp_path / "features", META, RECORDINGS, ARRAYS, TOKENIZER)
    return tmp_path / "features"


def test_reads_what_was_written(folder):
    opened = FeatureStore.open(folder)
    assert (opened.meta, opened.recordings, len(opened)) == (META, RECORDINGS, 3)
    assert opened.tokenizer.pieces == TOKENIZER.pieces
    for i in range(3):
        for speed in range(2):
            features = opened.features(i, speed)
            np.testing.assert_array_equal(features, ARRAYS[2 * i + speed])
            assert features.dtype == np.float16


def test_features_are_views_of_the_file(folder):
    features = FeatureStore.open(folder).features(1)
    assert isinstance(features, np.memmap)
    assert not features.flags.writeable


def test_the_same_bytes_every_time(folder, tmp_path):
    store.write(tmp_path / "again", META, RECORDINGS, ARRAYS, TOKENIZER)
    for file in sorted(folder.iterdir()):
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_a_failure_leaves_the_old_store(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.np, "save", full)
    with pytest.raises(UserError, match=r"features: could not be written \(No space left"):
        store.write(folder, META, RECORDINGS[:1], ARRAYS[:2], TOKENIZER)
    assert FeatureStore.open(folder).recordings == RECORDINGS
    assert [f.name for f in folder.parent.iterdir()] == ["features"]


def test_a_missing_store_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"meta\.json: no such file; run stage prepare first"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 200])
def test_a_damaged_store_says_what_to_run(folder, keep):
    frames = folder / "frames.npy"
    frames.write_bytes(frames.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"features: damaged .*; delete it and run stage prepare"):
        FeatureStore.open(folder)


def test_needs_numpy_alone(folder):
    program = (
        "import sys\n"
        "for name in ('torch', 'av', 'scipy', 'tokenizers', 'yaml', 'whisper_normalizer'):\n"
        "    sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from focused_attention.speech.store import FeatureStore\n"
        f"store = FeatureStore.open(Path({str(folder)!r}))\n"
        "assert store.features(2, 1).shape == (5, 4)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_opens_in_milliseconds(tmp_path):
    many = [replace(recording(0), key=str(i), tokens=tuple(range(20))) for i in range(600)]
    arrays = [np.zeros((n, 4), np.float16) for r in many for n in r.frames]
    store.write(tmp_path / "features", META, many, arrays, TOKENIZER)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        FeatureStore.open(tmp_path / "features")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1  # 8 ms where nothing else runs


def test_the_real_store():
    if not FEATURES.is_dir():
        pytest.skip(f"{FEATURES} is not there: run stage prepare")
    opened = FeatureStore.open(FEATURES)
    texts: dict[str, set[str]] = {}
    for i, r in enumerate(opened.recordings):
        assert opened.features(i, len(r.frames) - 1).shape == (r.frames[-1], opened.meta.n_mels)
        assert opened.tokenizer.decode(r.tokens) == r.text or opened.tokenizer.unk in r.tokens
        for text in (r.text, r.translation or ""):
            texts.setdefault(text, set()).add(r.split)
    texts.pop("", None)
    assert all(len(splits) == 1 for splits in texts.values())
