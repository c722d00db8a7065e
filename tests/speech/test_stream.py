"""Features of whole files, window after window, against openai-whisper's of the whole at once."""

import wave

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from focused_attention.errors import UserError
from focused_attention.speech import stream
from focused_attention.speech.stream import Recording, samples

RATE = 16000


def sound(n, seed=0):
    """Noise that swells and fades."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=n) * 0.1 * np.sin(np.arange(n) / 9000)).astype(np.float32)


def wav(file, waveform, rate=RATE, channels=1):
    with wave.open(str(file), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.repeat(waveform, channels) * 32767).astype("<i2").tobytes())
    return file


@pytest.mark.parametrize("block", [RATE, 60 * RATE], ids=["small blocks", "whole"])
@pytest.mark.parametrize("n", [1, 160, 199, RATE, 3 * RATE, 3 * RATE + 1, 5 * RATE + 77])
def test_windows_are_openai_s(monkeypatch, n, block):
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    monkeypatch.setattr(stream, "BLOCK", block)
    waveform = sound(n)
    whole = whisper.log_mel_spectrogram(waveform, padding=30 * RATE)
    recording = Recording.of(waveform)
    assert recording.frames == whole.shape[-1] - 3000 == n // 160
    for start in range(0, recording.frames, 130):
        expected = whole[:, start : min(start + 200, recording.frames)]
        given = recording.window(start, 200)
        assert given.shape == (80, 200)
        assert_close(given[:, : expected.shape[1]], expected, rtol=0, atol=1e-4)
        assert not given[:, expected.shape[1] :].any()


def test_windows_in_any_order(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", RATE)
    recording = Recording.of(sound(6 * RATE))
    late, early = recording.window(400, 100), recording.window(20, 100)
    again = Recording.of(sound(6 * RATE))
    assert_close(again.window(20, 100), early, rtol=0, atol=0)
    assert_close(again.window(400, 100), late, rtol=0, atol=0)


def test_memory_does_not_grow_with_the_recording(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", RATE)
    recording = Recording.of(sound(60 * RATE))
    held = []
    for start in range(0, recording.frames, 150):
        recording.window(start, 200)
        held.append(recording._held.shape[1])
    assert max(held) <= 200 + 2 * 100 + 10


def test_the_end_is_left_out_where_nothing_is_padded():
    assert Recording.of(sound(RATE)).window(40, 200, pad=False).shape == (80, 60)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (44100, 2)])
def test_any_rate_and_any_channels(tmp_path, rate, channels):
    """A tone of 440 Hz stays one, as long as it was."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    heard = np.concatenate(list(samples(wav(tmp_path / "tone.wav", tone, rate, channels))))
    assert abs(len(heard) - 2 * RATE) < 50
    spectrum = np.abs(np.fft.rfft(heard[1000:-1000]))
    assert abs(spectrum.argmax() * RATE / (len(heard) - 2000) - 440) < 1
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.02)


def test_sixteen_bits_stay_what_they_are(tmp_path):
    waveform = sound(RATE)
    heard = np.concatenate(list(samples(wav(tmp_path / "a.wav", waveform))))
    assert_close(heard, np.trunc(waveform * 32767).astype(np.float32) / 32768, rtol=0, atol=0)


def test_what_is_no_recording(tmp_path):
    (tmp_path / "text.wav").write_text("this is no sound " * 50)
    (tmp_path / "empty.wav").write_bytes(b"")
    for name in ("text.wav", "empty.wav", "none.wav", ""):
        with pytest.raises(UserError, match="not a recording that can be decoded") as error:
            Recording(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"none\.wav: holds no sound"):
        Recording(wav(tmp_path / "none.wav", np.zeros(0)))


def test_silence_is_even():
    features = Recording.of(np.zeros(RATE, np.float32)).window(0, 100)
    assert_close(features, torch.full((80, 100), -1.5))
