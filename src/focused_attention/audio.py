"""Recordings to log-mel features: decoding, speed, trimming, Whisper's log-mel spectrogram.

Frames are `HOP` samples apart; a waveform of whole hops gives exactly as many frames.
"""

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from focused_attention.errors import UserError

SAMPLE_RATE = 16000
N_FFT = 400  # 25 ms
HOP = 160  # Whisper's: 10 ms


def decode(file: Path) -> np.ndarray:
    """A recording as 16 kHz mono float32 in [-1, 1], shape (samples,)."""
    # Imported on use: a machine that only trains has no PyAV.
    import av

    cure = "delete it and run stage fetch again"
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pieces = []
    try:
        with av.open(str(file), format="g722" if file.suffix == ".g722" else None) as container:
            for frame in container.decode(audio=0):
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    except (av.error.FFmpegError, IndexError) as error:
        raise UserError(f"{file}: not a recording that can be decoded ({error}); {cure}") from error
    if not sum(piece.size for piece in pieces):
        raise UserError(f"{file}: the recording is empty; {cure}")
    return np.concatenate(pieces).astype(np.float32, copy=False)


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Play faster (> 1) or slower (< 1), pitch included, by resampling."""
    # Imported on use: a machine that only trains has no SciPy.
    from scipy.signal import resample_poly

    ratio = Fraction(speed).limit_denominator(100)
    if ratio == 1:
        return waveform
    return resample_poly(waveform, ratio.denominator, ratio.numerator).astype(np.float32)


def trim(waveform: np.ndarray, hop: int = HOP, threshold: float = 40.0) -> np.ndarray:
    """Cut silence at both ends: whole hops whose energy is `threshold` dB below the loudest hop's.

    The result is a whole number of hops, at least enough for one reflected analysis window.
    """
    n_hops = -(-len(waveform) // hop)
    padded = np.pad(waveform, (0, n_hops * hop - len(waveform)))
    energy = np.square(padded.reshape(n_hops, hop), dtype=np.float64).sum(axis=1)
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-threshold / 10))
    start, end = loud[0], loud[-1] + 1
    fewest = N_FFT // 2 // hop + 1
    if end - start < fewest:
        start = max(0, min(start, n_hops - fewest))
        end = start + fewest
    piece = padded[start * hop : end * hop]
    return np.pad(piece, (0, (end - start) * hop - len(piece)))


@cache
def mel_filters(n_mels: int) -> Tensor:
    """Slaney's mel filterbank, (n_mels, N_FFT // 2 + 1): linear below 1 kHz, logarithmic above."""

    def to_mel(hertz: np.ndarray) -> np.ndarray:
        linear = hertz / (200 / 3)
        return np.where(
            hertz < 1000, linear, 15 + 27 * np.log(np.maximum(hertz, 1) / 1000) / np.log(6.4)
        )

    def to_hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * (200 / 3), 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    top = to_mel(np.array(SAMPLE_RATE / 2))
    edges = to_hertz(np.linspace(0, top, n_mels + 2))
    bins = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    slopes = (edges[:, None] - bins) / np.diff(edges, append=np.nan)[:, None]
    rising = -slopes[:-2]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2 / (edges[2:] - edges[:-2])  # every filter has the same area
    filters = np.maximum(0, np.minimum(rising, falling)) * area[:, None]
    return torch.from_numpy(filters.astype(np.float32))


@cache
def _window() -> Tensor:
    return torch.hann_window(N_FFT)


def log_mel(waveform: Tensor, n_mels: int = 80, hop: int = HOP) -> Tensor:
    """log10 of the mel power spectrogram, (..., samples) -> (..., n_mels, samples // hop).

    Whisper's, before its normalisation (see `normalise`).
    """
    half = N_FFT // 2
    flat = waveform.reshape(1, -1, waveform.shape[-1])
    padded = torch.nn.functional.pad(flat, (half, half), mode="reflect")[0]
    frames = padded.unfold(-1, N_FFT, hop)[:, : waveform.shape[-1] // hop]
    spectrum = torch.view_as_real(torch.fft.rfft(frames * _window()))
    power = spectrum.square().sum(-1)
    mel = mel_filters(n_mels) @ power.mT
    return mel.clamp_(min=1e-10).log10_().reshape(*waveform.shape[:-1], n_mels, -1)


def normalise(features: Tensor) -> Tensor:
    """Whisper's normalisation of each utterance: 8 decades of dynamic range, about [-1, 1].

    features (..., n_mels, frames) or (..., frames, n_mels): the last two axes are one utterance.
    """
    peak = features.amax(dim=(-2, -1), keepdim=True)
    return (torch.maximum(features, peak - 8.0) + 4.0) / 4.0
