"""Stage listen: every cell once, resumed where it was ended; stage heard: verdicts of its rows."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from focused_attention import models
from focused_attention.params import Listen
from focused_attention.stages import heard, listen
from focused_attention.tasks.joined import Prompt

SETTINGS = {
    "models": ["tiny.en"], "slots": ["cross"], "corpora": {}, "words": [3, 60], "longest": 12.0,
    "conditions": ["padded", "unpadded", "keys"], "others": ["keys"], "lengths": [5.0, 10.0],
    "silences": [0.5, 5.0, 24.5], "temperatures": [0.71, 1.0, 1.41],
    "recordings": {"cross": 3, "encoder": 2, "decoder": 2, "single": 2},
    "single_lengths": [5.0, 10.0], "single_temperatures": [1.0, 1.41],
    "techniques": [{"technique": "topk", "slot": "cross", "top_k": 16}],
    "technique_temperatures": [0.71, 1.0], "resamples": 50,
}  # fmt: skip


class Tokens:
    """A tokenizer of letters."""

    multilingual, no_timestamps, eot = False, 1, 0

    def prefix(self, language):
        assert language is None
        return [2]

    def encode(self, text):
        return [3 + ord(c) % 20 for c in text]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder where the stages run with a small random Whisper, and what it was asked."""
    torch.manual_seed(0)
    whisper = models.build(
        "whisper", n_mels=80, n_audio_ctx=1500, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
        n_vocab=23, n_text_ctx=400, n_text_state=16, n_text_head=2, n_text_layer=2,
        conv_strides=(1, 2),
    ).eval()  # fmt: skip
    for parameter in whisper.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rng = np.random.default_rng(0)
    pool = {
        f"p{i}": Prompt(
            key=f"p{i}", text=f"what {i} says",
            samples=(0.1 * rng.standard_normal(16000 + 1600 * i)).astype(np.float32),
        )
        for i in range(8)
    }  # fmt: skip
    params = SimpleNamespace(
        profile="tiny", threads=1, listen=Listen(**SETTINGS),
        collect=SimpleNamespace(confidence=0.95),
    )  # fmt: skip
    for stage in (listen, heard):
        monkeypatch.setattr(stage, "load", lambda profile=None: params)
    heard_by = SimpleNamespace(model=whisper, tokenizer=Tokens())
    monkeypatch.setattr(listen.published, "listener", lambda name: heard_by)
    monkeypatch.setattr(listen, "speech", lambda settings: pool)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cells_are_measured_once_and_judged(folder, monkeypatch):
    listen.main(["tiny.en", "cross"])
    results = folder / "results/tiny"
    rows = read(results / "listen/tiny.en-cross.csv")
    conditions = [row["condition"] for row in rows if row["temperature"] == "1.41"]
    # three conditions in all layers, single layers at two lengths, and another one's text
    expected = ["padded"] * 2 + ["unpadded"] * 2 + ["keys"] * 3 + ["padded"] * 4 + ["exchanged"]
    assert conditions == expected
    assert {row["keys"] for row in rows if row["condition"] == "padded"} == {"1500.0"}
    silent = sorted(float(row["keys"]) for row in rows if row["condition"] == "keys")
    assert silent == sorted([275.0, 500.0, 1475.0] * 3)
    assert [len(row["losses"].split()) for row in rows[:3]] == [3, 3, 3]
    assert {row["technique"] for row in rows} == {"none", "topk cross 16"}
    first = (results / "listen/tiny.en-cross.csv").read_bytes()
    log = folder / "logs/tiny/listen/tiny.en-cross.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:5]) + "\n")  # as if it had been ended there
    asked = []
    measured = listen.measured
    monkeypatch.setattr(listen, "measured", lambda *a: asked.append(a[-1]) or measured(*a))
    listen.main(["tiny.en", "cross"])
    assert len(asked) == len(lines) - 5
    assert (results / "listen/tiny.en-cross.csv").read_bytes() == first


def test_what_was_heard_is_judged(folder):
    more = dict(SETTINGS, temperatures=[0.71, 0.84, 1.0, 1.19, 1.41])
    listen.load().listen = Listen(**more)
    listen.main(["tiny.en", "cross"])
    heard.main([])
    judged = json.loads((folder / "results/tiny/heard.json").read_text())
    assert judged["claims"].keys() == {"W1a", "W1b", "W1c", *(f"W{i}" for i in range(2, 8))}
    missing = {n for n, claim in judged["claims"].items() if claim["verdict"] == "not run"}
    assert missing == {"W3", "W4", "W6", "W7"}  # no times of words here
    assert judged["checks"]["planted"]["holds"]
    tables = {path.stem: read(path) for path in (folder / "results/tiny/heard").glob("*.csv")}
    assert tables.keys() == {*heard.TABLES, "times"}
    for row in tables["losses"]:
        if row["temperature"] == "1.0":
            assert float(row["change"]) == float(row["change_low"]) == 0.0
    kinds = {(row["technique"], float(row["temperature"])) for row in tables["spared"]}
    assert kinds == {(name, t) for name in ("none", "topk cross 16") for t in (0.71, 1.0)}
    unheated = {"technique": "none", "temperature": "1.0"}.items()
    (untouched,) = (row for row in tables["spared"] if unheated <= row.items())
    assert float(untouched["cost"]) == float(untouched["cost_high"]) == 0.0
    before = (folder / "results/tiny/heard.json").read_bytes()
    heard.main([])
    assert (folder / "results/tiny/heard.json").read_bytes() == before


def test_the_encoder_is_heated_by_itself(folder):
    listen.main(["tiny.en", "encoder"])
    rows = read(folder / "results/tiny/listen/tiny.en-encoder.csv")
    assert len({row["losses"] for row in rows[:3]}) > 1
    assert not any(row["condition"] == "exchanged" or row["technique"] != "none" for row in rows)
