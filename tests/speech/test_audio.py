"""Decoding, trimming, speed and log-mel, against openai-whisper and by property."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from focused_attention.errors import UserError
from focused_attention.speech import audio

whisper_audio = pytest.importorskip("whisper.audio")


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tone(seconds, hertz=440.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16000)) / 16000).astype(np.float32)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_mel_filters_are_whispers(n_mels):
    theirs = whisper_audio.mel_filters("cpu", n_mels)
    torch.testing.assert_close(audio.mel_filters(n_mels), theirs, atol=1e-7, rtol=0)


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("samples", [401, 1600, 5 * 16000 + 77, 12 * 16000])
def test_log_mel_is_whispers(n_mels, samples):
    for waveform in (noise(samples), torch.from_numpy(tone(samples / 16000)) * 1e-3):
        ours = audio.normalise(audio.log_mel(waveform, n_mels))
        theirs = whisper_audio.log_mel_spectrogram(waveform, n_mels)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def log_mel_directly(waveform, n_mels, hop):
    """By the textbook, in float64: (n_mels, frames)."""
    padded = np.pad(waveform, 200, mode="reflect")
    window = np.hanning(401)[:-1]  # periodic
    frames = [padded[hop * t :][:400] * window for t in range(len(waveform) // hop)]
    power = np.abs(np.fft.rfft(frames)) ** 2
    filters = audio.mel_filters(n_mels, torch.float64).numpy()
    return np.log10(np.maximum(filters @ power.T, 1e-10))


@pytest.mark.parametrize(("n_mels", "hop"), [(80, 320), (128, 160)])
def test_log_mel_of_float64_is_exact_to_its_last_digits(n_mels, hop):
    waveform = noise(16077).double()
    ours = audio.log_mel(waveform, n_mels, hop)
    directly = torch.from_numpy(log_mel_directly(waveform.numpy(), n_mels, hop))
    torch.testing.assert_close(ours, directly, atol=1e-10, rtol=0)
    single = audio.log_mel(waveform.float(), n_mels, hop)
    torch.testing.assert_close(single.double(), directly, atol=1e-4, rtol=0)
    assert single.dtype == torch.float32


def test_log_mel_of_silence_is_the_floor():
    assert (audio.log_mel(torch.zeros(3200)) == -10).all()


def test_every_other_frame_at_twice_the_hop():
    waveform = noise(320 * 60)
    coarse = audio.log_mel(waveform, hop=320)
    assert coarse.shape == (80, 60)
    torch.testing.assert_close(coarse, audio.log_mel(waveform)[:, ::2], atol=1e-5, rtol=0)


def test_clips_of_a_batch_do_not_meet():
    clips = noise(2, 3, 160 * 700)
    batch = audio.log_mel(clips, 128)
    assert batch.shape == (2, 3, 128, 700)
    torch.testing.assert_close(batch[1, 2], audio.log_mel(clips[1, 2], 128), atol=1e-5, rtol=0)


def test_a_clip_too_short_to_reflect_is_refused():
    with pytest.raises(ValueError, match="more than 200 samples, given 200"):
        audio.log_mel(noise(200))


def test_normalise_keeps_eight_decades_and_its_input():
    features = torch.tensor([[-10.0, -7.0, 2.0]])
    torch.testing.assert_close(audio.normalise(features), torch.tensor([[-0.5, -0.5, 1.5]]))
    assert features[0, 0] == -10
    louder = torch.stack([features, features + 3])
    torch.testing.assert_close(audio.normalise(louder)[0], audio.normalise(features))


@settings(max_examples=50)
@given(
    before=st.integers(0, 30),
    hops=st.integers(2, 40),
    after=st.integers(0, 30),
    rest=st.integers(0, 319),
    hop=st.sampled_from([160, 320]),
)
def test_trim_cuts_exactly_the_silence(before, hops, after, rest, hop):
    speech = noise(hops * hop).numpy()
    waveform = np.concatenate(
        [np.zeros(before * hop), speech, np.full(after * hop + rest % hop, 1e-4)]
    ).astype(np.float32)
    np.testing.assert_array_equal(audio.trim(waveform, hop), speech)


@given(st.integers(1, 2000), st.sampled_from([80, 160, 320]))
def test_trim_gives_whole_hops_that_can_be_analysed(samples, hop):
    for waveform in (np.zeros(samples, np.float32), noise(samples).numpy()):
        trimmed = audio.trim(waveform, hop)
        assert len(trimmed) % hop == 0
        frames = audio.log_mel(torch.from_numpy(trimmed), hop=hop).shape[-1]
        assert frames == len(trimmed) // hop


@pytest.mark.parametrize("speed", [0.9, 1.1, 1.25])
def test_change_speed_moves_length_and_pitch(speed):
    changed = audio.change_speed(tone(1.0, hertz=400), speed)
    assert len(changed) == pytest.approx(16000 / speed, abs=1)
    assert changed.dtype == np.float32
    double = audio.change_speed(tone(1.0, hertz=400).astype(np.float64), speed)
    assert double.dtype == np.float64
    np.testing.assert_allclose(changed, double, atol=1e-5)
    assert (double != double.astype(np.float32)).any()  # nothing was rounded on the way
    spectrum = np.abs(np.fft.rfft(changed * np.hanning(len(changed))))
    assert spectrum.argmax() * 16000 / len(changed) == pytest.approx(400 * speed, abs=2)


def test_speed_one_is_the_recording():
    waveform = tone(0.1)
    assert audio.change_speed(waveform, 1.0) is waveform


def encode(file, codec, rate, waveform):
    """Write a recording, as only tests do."""
    import av

    with av.open(str(file), "w", format=codec) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        samples = (waveform * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def loudest(waveform):
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return spectrum.argmax() * 16000 / len(waveform)


def test_decodes_g722(tmp_path):
    encode(tmp_path / "a.g722", "g722", 16000, 0.5 * tone(1.0))
    waveform = audio.decode(tmp_path / "a.g722")
    assert (waveform.shape, waveform.dtype) == ((16000,), np.float32)
    assert loudest(waveform) == pytest.approx(440, abs=2)
    assert 0.45 < np.abs(waveform).max() < 0.55


def test_resamples(tmp_path):
    sound = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050) / 2
    encode(tmp_path / "a.flac", "flac", 22050, sound)
    waveform = audio.decode(tmp_path / "a.flac")
    assert len(waveform) == pytest.approx(16000, abs=2)
    assert loudest(waveform) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("content", [b"", b"not a recording" * 30])
def test_an_undecodable_recording_is_named(tmp_path, content):
    (tmp_path / "a.ogg").write_bytes(content)
    with pytest.raises(
        UserError, match=r"a\.ogg: not a recording that can be decoded .*; delete it"
    ):
        audio.decode(tmp_path / "a.ogg")


def test_a_recording_of_no_samples_is_empty(tmp_path):
    (tmp_path / "a.g722").touch()
    assert audio.decode(tmp_path / "a.g722").shape == (0,)
