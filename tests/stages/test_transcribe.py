"""The command for anybody's recordings: what it writes, and one line for whatever is wrong."""

import json
import logging
import wave

import numpy as np
import pytest
from PIL import Image

from focused_attention.errors import UserError
from focused_attention.speech.stream import samples
from focused_attention.stages import transcribe
from tests.decoding.test_whisper_parity import PROMPTS


def wav(file, waveform, rate=16000):
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.asarray(waveform) * 32767).astype("<i2").tobytes())
    return file


@pytest.fixture(scope="module")
def ears(tiny_en):
    """The model is opened once, and not by every call of the command."""
    return transcribe.listener(str(tiny_en), packed=True)


@pytest.fixture
def command(ears, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(transcribe, "listener", lambda *_, **__: ears)
    return lambda *words: transcribe.main([str(word) for word in words])


@pytest.fixture
def prompt():
    file = PROMPTS / "vm-review.g722"
    if not file.exists():
        pytest.skip(f"{file}: no such recording; run `dvc repro data.dvc`")
    return np.concatenate(list(samples(file)))


def test_text_times_and_a_picture(command, prompt, tmp_path, caplog):
    file = wav(tmp_path / "review.wav", prompt[::2], rate=8000)  # as a telephone records
    command(file, "--picture", "--folder", tmp_path / "out")
    text = (tmp_path / "out" / "review.txt").read_text()
    told = json.loads((tmp_path / "out" / "review.json").read_text())
    words = [word for segment in told["segments"] for word in segment["words"]]
    assert "press 1 to accept this recording" in text.lower()
    assert told["text"] == text.strip() == "".join(word["text"] for word in words).strip()
    assert (told["language"], told["task"]) == ("en", "transcribe")
    assert told["seconds"] == pytest.approx(len(prompt) / 16000, abs=0.01)
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= told["seconds"] + 0.02
    assert f"{file}: {text.strip()}" in caplog.text
    with Image.open(tmp_path / "out" / "review-1.png") as picture:
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
        assert min(picture.size) > 300
    assert len(colours) > 100  # not an empty page
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "review-1.png", "review.json", "review.txt"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.wav", None, "not a recording that can be decoded .*name one that plays"),
        ("empty.wav", b"", "not a recording that can be decoded"),
        ("text.mp3", b"no sound" * 99, "not a recording that can be decoded"),
    ],
)
def test_what_is_no_recording(command, tmp_path, name, content, problem):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    one_line(command, problem, tmp_path / name)


def one_line(command, problem, *words):
    with pytest.raises(UserError, match=problem) as error:
        command(*words)
    assert "\n" not in str(error.value)


def test_silence(command, tmp_path):
    file = wav(tmp_path / "still.wav", np.zeros(16000))
    one_line(command, r"still\.wav: 1\.0 seconds of digital silence", file)
    one_line(command, r"still\.wav: holds no sound", wav(file, []))
    assert not list(tmp_path.glob("*.txt"))


def test_noise_is_heard_to_its_end(command, tmp_path):
    rng = np.random.default_rng(0)
    command(wav(tmp_path / "noise.wav", 0.01 * rng.normal(size=16000)))
    told = json.loads((tmp_path / "noise.json").read_text())
    assert told["seconds"] == 1.0


def test_one_bad_file_does_not_stop_the_others(command, tmp_path, caplog):
    good = wav(tmp_path / "good.wav", 0.01 * np.random.default_rng(0).normal(size=8000))
    one_line(command, "1 of 2 files were not transcribed", tmp_path / "none.wav", good)
    assert "none.wav: not a recording" in caplog.text
    assert (tmp_path / "good.json").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--language", "de"), "English alone, it cannot hear 'de'; take a multilingual one"),
        (("--task", "translate"), "cannot translate"),
        (("--beam", "0"), "--beam 0: a beam is at least one"),
    ],
)
def test_wishes_that_cannot_be_met(command, tmp_path, words, problem):
    one_line(command, problem, tmp_path / "none.wav", *words)


def test_two_files_of_one_name(command, tmp_path):
    problem = "would write the same results"
    one_line(command, problem, tmp_path / "a.wav", tmp_path / "a.mp3")


def test_a_truncated_checkpoint(tiny_en, tmp_path):
    for file in tiny_en.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"model\.bin: ends after \d+ bytes.*fetch the checkpoint"):
        transcribe.main(["none.wav", "--model", str(tmp_path)])
    with pytest.raises(UserError, match=r"huge: no such checkpoint; name one of tiny\.en, base"):
        transcribe.main(["none.wav", "--model", "huge"])
