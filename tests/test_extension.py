"""CONTRIBUTING.md's newcomers: each is one file and one line of params.yaml, and stands in results,
tables and figures.

They are taken from the page, put into a copy of the package, and run through the stages on a store
of random features.
"""

import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import textwrap
import wave
from pathlib import Path

import pandas as pd
import pytest
import yaml

from focused_attention import plots, sources
from focused_attention.schema import overlay
from tests.stages.tiny import SMALL, prepared

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"This is `([\w/]+\.py)`.*?```python\n(.*?)\n *```", flags=re.DOTALL)
LINE = re.compile(r"`((?:[\w-]+: |\{)[^`]*[}\]])`")
KEYS = {  # where a newcomer's line of params.yaml stands, by its folder
    "attention": ("arms",),
    "regularisers": ("arms",),
    "inference": ("measure", "techniques", "list"),
    "measures": ("measure",),
    "corpora": ("fetch", "corpora"),
    "trials": ("trials",),
}
HEARD = {"bye": 20, "hello": 30, "thanks": 40}  # recordings of greetings: samples of half a period
STAGES = """
from focused_attention.stages import arms, collect, evaluate, measure, seek, sharpness, train, vary
arms.main([])
for stage, names in ((train, {read}), (vary, {varied})):
    for arm in names:
        stage.main([arm])
        evaluate.main([arm])
for arm in {varied}:
    sharpness.main([arm])
for arm in {sought}:
    seek.main([arm])
    measure.main([arm])
collect.main([])
"""
TRIAL = """
import numpy as np, torch
from types import SimpleNamespace
from focused_attention import models, trials
from focused_attention.decoding import published
from focused_attention.stages import trial
from focused_attention.tasks.joined import Prompt

torch.manual_seed(0)
whisper = models.build(
    "whisper", n_mels=80, n_audio_ctx=1500, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
    n_vocab=9, n_text_ctx=9, n_text_state=16, n_text_head=2, n_text_layer=1, conv_strides=(1, 2),
)
noise = np.random.default_rng(0).standard_normal((4, 16000)).astype(np.float32)
pool = {str(i): Prompt(key=str(i), text="a", samples=of) for i, of in enumerate(noise)}
trials.speech = lambda settings: pool
published.listener = lambda name: SimpleNamespace(
    model=whisper.eval(), tokenizer=SimpleNamespace(sot=1, no_speech=2)
)
trial.main(["tiny.en-%s"])
"""
TEXTS = b"bye: Bye bye.\nhello: Hello there!\nthanks: Many thanks.\n"


def examples() -> dict[str, tuple[dict[str, str], object]]:
    """By folder of the package: files by path, and the newcomer's lines of params.yaml."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        files = {path: textwrap.dedent(code) + "\n" for path, code in EXAMPLE.findall(section)}
        folders = [path.partition("/")[0] for path in files if not path.startswith("tests/")]
        if folders:
            (folder,) = folders
            lines = map(yaml.safe_load, LINE.findall(section.split("```")[-1]))
            found[folder] = files, {key: value for line in lines for key, value in line.items()}
    return found


EXAMPLES = examples()


def test_every_way_of_extending_has_an_example():
    assert set(EXAMPLES) == {folder for folder in KEYS if (sources.PACKAGE / folder).is_dir()}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package with the newcomers' files; none of them was there before."""
    folder = tmp_path_factory.mktemp("newcomers")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for files, _ in EXAMPLES.values():
        for path, code in files.items():
            package = folder if path.startswith("tests/") else folder / "src/focused_attention"
            assert not (package / path).exists()
            (package / path).write_text(code, encoding="utf-8")
    return folder


def run(copy: Path, folder: Path, *command: str, **variables: str) -> str:
    """Run a command in `folder` with the copy's package."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment | variables,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def lines_of(*folders: str) -> dict:
    """The newcomers' lines as they stand in params.yaml."""
    merged: dict = {}
    for folder in folders:
        line = EXAMPLES[folder][1]
        line = [line] if folder == "inference" else line
        for key in reversed(KEYS[folder]):
            line = {key: line}
        merged = overlay(merged, line)
    return merged


@pytest.fixture(scope="module")
def measured(copy, tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder in which everything was trained, measured and collected; and the newcomers' arms."""
    rest = [folder for folder in EXAMPLES if folder not in ("corpora", "trials")]
    newcomers = lines_of(*rest)
    varied = ["echo-more", *(name for name in newcomers["arms"] if name.startswith("vary-"))]
    arms = ["echo", *(name for name in newcomers["arms"] if name not in varied)]
    over = overlay(newcomers, {
        "runs": {
            "train": {"arms": ["echo"]}, "measure": {"prune": ["echo"]},
            "vary": {"start": "echo", "arms": varied},
            "seek": {"arms": arms, "seeds": [1]},
        },
        "arms": {"echo": SMALL["arms"]["tiny"], "echo-more": {"steps": 2}},
        "train": {
            "steps": 2, "batch_seconds": 6.0, "warmup": 1, "log_every": 1,
            "dev_every": 2, "dev_utterances": 3, "checkpoint_every": 2,
        },
        "evaluate": {"utterances": {"digits": 3, "words": 3}, "beam": 2, "max_tokens": 6},
        "measure": {"confidence": {"words": [0, 3], "utterances": 4}},
        "collect": {"resamples": 50},
    })  # fmt: skip
    folder = prepared(tmp_path_factory.mktemp("study"), over)
    run(copy, folder, "-c", STAGES.format(read=["echo"], varied=varied, sought=arms))
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/12-measures.ipynb", folder / "notebooks")
    run(copy, folder, "-m", "focused_attention.stages.notebook", "12-measures")
    return folder, arms[1:]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_newcomers_stand_in_results_and_in_the_table(measured):
    folder, arms = measured
    results = folder / "results/tiny"
    table = rows(results / "tables/measures.csv")
    assert {row["arm"] for row in table} == {"echo", *arms}
    for arm in arms:
        assert rows(results / f"seek/{arm}-1-dev.csv")
    (technique,) = lines_of("inference")["measure"]["techniques"]["list"]
    under = [row for row in table if f"technique={technique['technique']};" in row["condition"]]
    assert {row["arm"] for row in under} == {"echo", *arms}
    recalled = [row for row in under if "task=recall" in row["condition"]]
    assert {row["metric"] for row in recalled} == {"right", "bound"}
    assert all(0 <= float(row["mean"]) <= 1 for row in recalled)
    (name,) = lines_of("measures")["measure"]
    kept = rows(results / f"{name}/echo-1.csv")
    for row in (row for row in table if (row["measure"], row["arm"]) == (name, "echo")):
        (same,) = (of for of in kept if f"hay={of['hay']}" == row["condition"])
        assert float(row["mean"]) == pytest.approx(float(same["mean"]), rel=1e-4)
        assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])


def test_a_newcomer_is_compared_with_the_others_that_go_on(measured):
    folder, _ = measured
    table = rows(folder / "results/tiny/tables/variants.csv")
    assert [row["arm"] for row in table] == ["echo", "echo-more", "vary-cosine"]
    last = table[-1]
    assert (last["mechanism"], last["family"], last["slot"]) == ("cosine", "softmax", "focus")
    assert float(last["low"]) <= float(last["difference"]) <= float(last["high"])
    assert 0 < float(last["entropy_low"]) <= float(last["entropy"]) <= float(last["entropy_high"])


def test_what_a_newcomer_cannot_be_asked_is_said(measured):
    folder, _ = measured
    made = json.loads((folder / "results/tiny/measure/echo-cosine-1.json").read_text())
    why = "Cosine has no temperature"
    assert made["measures"]["recall"] == {"files": {}, "not_applicable": {"": why}}
    table = rows(folder / "results/tiny/tables/measures.csv")
    (note,) = (r for r in table if (r["measure"], r["arm"]) == ("recall", "echo-cosine"))
    assert note["note"] == f"not applicable: {why}"


def test_newcomers_stand_in_the_figures(measured):
    folder, arms = measured
    table = pd.read_csv(folder / "results/tiny/tables/measures.csv")
    (name,) = lines_of("measures")["measure"]
    for measure in (name, "techniques"):
        pdf = folder / f"paper/figures/12-measures/{measure}.pdf"
        assert pdf.read_bytes().startswith(b"%PDF")
        fig = plots.measured(table, measure)
        looks = plots.named(["echo", *arms])
        labels = {text.get_text() for text in fig.legends[0].get_texts()}
        assert labels == {look.label for look in looks.values()}
    ticks = [text.get_text() for text in fig.axes[0].get_yticklabels()]
    assert any("technique=uniform" in tick for tick in ticks)
    executed = json.loads((folder / "notebooks/executed/12-measures.ipynb").read_text())
    images = [o for cell in executed["cells"] for o in cell.get("outputs", []) if "image/png" in
              o.get("data", {})]  # fmt: skip
    assert len(images) == table[table["figure"].astype(str) == "True"]["measure"].nunique()


@pytest.mark.skipif("regularisers" not in EXAMPLES, reason="there are no regularisers")
def test_a_newcomers_loss_stands_in_the_log(measured):
    folder, _ = measured
    (arm,) = EXAMPLES["regularisers"][1]
    assert (
        rows(folder / f"results/tiny/seek/{arm}-1.csv")[0].keys()
        > rows(folder / "results/tiny/seek/echo-1.csv")[0].keys()
    )


def test_the_mechanism_is_tested_on_arrival(copy):
    output = run(copy, copy, "-m", "pytest", "-k", "cosine", "tests/attention")
    assert output.count(".") > 50  # one a test


def test_a_trial_is_run_and_goes_on_where_it_was(copy, tmp_path):
    (name,) = lines_of("trials")["trials"]
    params = overlay(yaml.safe_load((ROOT / "params.yaml").read_text()), lines_of("trials"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    run(copy, tmp_path, "-c", TRIAL % name)
    found = tmp_path / f"results/pilot/listen/tiny.en-{name}.csv"
    first = found.read_bytes()
    settings = lines_of("trials")["trials"][name]
    assert [float(row["seconds"]) for row in rows(found)] == settings["lengths"]
    for row in rows(found):
        chances = [float(value) for value in row["no_speech"].split()]
        assert len(chances) == settings["recordings"]
        assert all(0 < chance < 1 for chance in chances)
    journal = tmp_path / f"logs/pilot/trials/tiny.en-{name}.jsonl"
    kept = journal.read_text().splitlines()
    assert len(kept) == len(settings["lengths"])
    journal.write_text(kept[0] + "\n")
    found.unlink()
    run(copy, tmp_path, "-c", TRIAL % name)
    assert found.read_bytes() == first
    assert journal.read_text().splitlines() == kept
    with (copy / "src/focused_attention/trials/__init__.py").open("a") as file:
        file.write("# other code, which may measure otherwise\n")
    run(copy, tmp_path, "-c", TRIAL % name)
    assert found.read_bytes() == first
    assert len(journal.read_text().splitlines()) == 2 * len(kept)  # nothing old was taken


def square(half: int) -> bytes:
    """A WAV file with a square wave of 0.4 s at 16 kHz; `half` samples are half a period."""
    samples = (8000 if i // half % 2 else -8000 for i in range(6400))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def test_a_corpus_is_fetched_prepared_and_drawn(copy, tmp_path):
    files = {f"{name}.wav": square(half) for name, half in HEARD.items()} | {"texts.txt": TEXTS}
    with tarfile.open(tmp_path / "greetings-en-1.0.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["fetch"]["corpora"] = {}
    params = overlay(overlay(params, lines_of("corpora")), {"prepare": {"tokenizer": "words"}})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data").symlink_to("downloads")
    stages = "from focused_attention.stages import {0}; {0}.main([])"
    for stage in ("fetch", "prepare"):
        run(copy, tmp_path, "-c", stages.format(stage), FOCUSED_ATTENTION_MIRROR=str(tmp_path))
    (corpus,) = json.loads((tmp_path / "results/pilot/data.json").read_text())["corpora"]
    assert (corpus["corpus"], corpus["recordings"], corpus["with_text"]) == ("greetings", 3, 3)
    recordings = pd.read_json(tmp_path / "features/recordings.json")
    fig = plots.corpus(recordings[["corpus", "language", "split", "seconds"]])
    ticks = [text.get_text() for axes in fig.axes for text in axes.get_yticklabels()]
    assert "Greetings · en" in ticks
