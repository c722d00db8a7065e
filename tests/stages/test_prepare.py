"""Stage prepare on a corpus of six recordings."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from focused_attention.errors import UserError
from focused_attention.params import Prepare
from focused_attention.speech.store import FeatureStore
from focused_attention.stages import prepare

PARAMS = Path("params.yaml").resolve()
SOURCES = Path(prepare.__file__).parents[2]
OTHER_KERNELS = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
TEXTS = {
    "beep": "[a beep]",
    "digits/1": "one",
    "digits/2": "Two.",
    "vm-goodbye": "Goodbye, one and all!",
    "vm-one": "One",
    "vm-press": "Press two (softly)",
}


def write_g722(file, seconds, seed):
    import av

    noise = np.random.default_rng(seed).normal(size=int(seconds * 16000)) * 3000
    frame = av.AudioFrame.from_ndarray(noise.astype(np.int16)[None], format="s16", layout="mono")
    frame.rate = 16000
    with av.open(str(file), "w", format="g722") as out:
        stream = out.add_stream("g722", rate=16000, layout="mono")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with data/ and params.yaml, as the current folder."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load(PARAMS.read_text())
    params |= {"profile": "tiny", "fetch": {"corpora": {"asterisk": ["en"]}}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    folder = Path("data/asterisk/en")
    (folder / "digits").mkdir(parents=True)
    for i, key in enumerate(TEXTS):
        write_g722(folder / f"{key}.g722", 0.3 + 0.1 * i, i)
    lines = "".join(f"{key}: {text}\n" for key, text in TEXTS.items())
    (folder / "core-sounds-en.txt").write_text(lines)
    return tmp_path


def outputs():
    files = [*Path("features").iterdir(), Path("results/tiny/data.json")]
    return {str(file): file.read_bytes() for file in files}


def assert_nothing_left():
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["data", "params.yaml"]


def test_store_and_summary(root):
    prepare.main([])
    store = FeatureStore.open()
    assert [(r.key, r.text) for r in store.recordings] == [
        ("digits/1", "one"),
        ("digits/2", "two"),
        ("vm-goodbye", "goodbye one and all"),
        ("vm-one", "one"),
        ("vm-press", "press two"),
    ]
    splits = {r.key: r.split for r in store.recordings}
    assert splits["digits/1"] == splits["vm-one"]
    hop = store.meta.hop / store.meta.sample_rate
    for i, r in enumerate(store.recordings):
        for speed, factor in enumerate(store.meta.speeds):
            features = store.features(i, speed)
            assert features.shape == (r.frames[speed], store.meta.n_mels)
            assert np.isfinite(features).all()
            assert r.frames[speed] * hop == pytest.approx(r.seconds / factor, abs=2 * hop)
    row = json.loads(Path("results/tiny/data.json").read_text())["corpora"][0]
    assert (row["recordings"], row["with_text"], row["words"], row["texts"]) == (6, 5, 9, 4)
    assert row["minutes"] == pytest.approx(sum(0.3 + 0.1 * i for i in range(6)) / 60, rel=1e-3)
    assert sum(split["recordings"] for split in row["splits"].values()) == 5


def test_the_same_bytes_every_time_with_any_number_of_threads(root):
    prepare.main([])
    first = outputs()
    shutil.rmtree("features")
    params = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(params | {"threads": 1}))
    prepare.main([])
    assert outputs() == first


def test_features_have_the_same_bytes_in_another_arithmetic(root):
    """In float32 these kernels give other bytes somewhere in a minute."""
    write_g722(Path("data/asterisk/en/vm-press.g722"), 60.0, seed=9)
    prepare.main([])
    first = outputs()
    shutil.rmtree("features")
    subprocess.run(
        [sys.executable, "-m", "focused_attention.stages.prepare"], check=True,
        env=os.environ | {"PYTHONPATH": str(SOURCES)} | OTHER_KERNELS,
    )  # fmt: skip
    assert outputs() == first


def test_tokenizer_learns_from_the_training_split_alone(root):
    utterances = prepare.read({"asterisk": ["en"]})
    splits = {("asterisk", u.key): "test" if u.key == "vm-goodbye" else "train" for u in utterances}
    params = Prepare(
        n_mels=80, hop=160, tokenizer="chars", vocabulary=99, speeds=[1.0], dev=0.1, test=0.1
    )
    tokenizer = prepare.learn_tokenizer(utterances, splits, params)
    assert "g" not in tokenizer.pieces
    assert "w" in tokenizer.pieces


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("kind", ["chars", "words"])
def test_other_settings(root, n_mels, kind):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["prepare"] |= {"n_mels": n_mels, "tokenizer": kind, "hop": 160, "speeds": [1.0]}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    prepare.main([])
    store = FeatureStore.open()
    assert store.tokenizer.kind == kind
    assert store.features(0).shape == (store.recordings[0].frames[0], n_mels)


def empty(folder):
    (folder / "vm-one.g722").write_bytes(b"")


def remove_recording(folder):
    (folder / "vm-one.g722").unlink()


def add_recording(folder):
    (folder / "new.g722").write_bytes(b"1")


def remove_everything(folder):
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (empty, r"vm-one\.g722: the recording is empty, but its text is not; delete it"),
        (remove_recording, r"transcript without audio: there is no recording of vm-one"),
        (add_recording, r"new\.g722: audio without transcript; give new a text"),
        (remove_everything, r"data/asterisk/en: no such folder; run `dvc repro data\.dvc`"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(root, harm, message):
    harm(Path("data/asterisk/en"))
    with pytest.raises(UserError, match=message):
        prepare.main([])
    assert_nothing_left()


def test_an_unknown_corpus(root):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["fetch"]["corpora"] = {"timit": ["en"]}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match="unknown corpus 'timit'"):
        prepare.main([])
    assert_nothing_left()
