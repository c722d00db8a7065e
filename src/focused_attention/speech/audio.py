"""Recordings to log-mel features: decoding, speed, trimming, Whisper's log-mel spectrogram.

A waveform of whole hops gives exactly as many frames, so what is cut and joined on whole hops has
exact boundaries in frames.
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
FLOOR = 1e-10  # mel power of digital silence
BLOCK = 1024  # frames whose spectra fit in a processor's cache
BAND = 32  # filters applied together


def decode(file: Path) -> np.ndarray:
    """A recording as 16 kHz mono float32 in [-1, 1], shape (samples,); some have no samples.

    G.722 gives whole numbers over 32768, which float32 holds exactly. What is resampled, or decoded
    in floating point as Vorbis is, may differ in its last digit with the decoder's kernels.
    """
    # Imported on use: a machine that only trains has no PyAV.
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pieces = [np.zeros(0, np.float32)]
    try:
        with av.open(str(file), format="g722" if file.suffix == ".g722" else None) as container:
            for frame in container.decode(audio=0):
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
        if len(pieces) > 1:
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    except (av.error.FFmpegError, IndexError) as error:
        raise UserError(
            f"{file}: not a recording that can be decoded ({error}); "
            "delete it and run stage fetch again"
        ) from error
    return np.concatenate(pieces)


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Play faster (> 1) or slower (< 1), pitch included, by resampling in the waveform's type."""
    # Imported on use: a machine that only trains has no SciPy.
    from scipy.signal import resample_poly

    ratio = Fraction(speed).limit_denominator(100)
    if ratio == 1:
        return waveform
    return resample_poly(waveform, ratio.denominator, ratio.numerator)


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
def mel_filters(n_mels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Slaney's mel filterbank, (n_mels, N_FFT // 2 + 1), every filter of the same area.

    The mel scale is linear below 1 kHz, 15 mel, and logarithmic above: 27 mel from 1 to 6.4 kHz
    (Slaney, Auditory Toolbox, 1998).
    """

    def to_mel(hertz: np.ndarray) -> np.ndarray:
        octaves = np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
        return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * octaves)

    def to_hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))

    nyquist = SAMPLE_RATE / 2
    edges = to_hertz(np.linspace(0, to_mel(np.array(nyquist)), n_mels + 2))[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = np.linspace(0, nyquist, N_FFT // 2 + 1)
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return torch.from_numpy(triangles * 2 / (right - left)).to(dtype)


@cache
def _window_and_bands(n_mels: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, list]:
    """The periodic Hann window, and the filters in bands.

    A band is some neighbouring filters and the slice of interleaved (real, imaginary) values that
    they hear; every filter value stands twice. Most of the filterbank is zeros that are skipped.
    """
    bands = []
    for filters in mel_filters(n_mels, dtype).split(BAND):
        heard = filters.any(0).nonzero()
        first, end = int(heard.min()), int(heard.max()) + 1
        doubled = filters[:, first:end].repeat_interleave(2, dim=1).mT.contiguous()
        bands.append((slice(2 * first, 2 * end), doubled.to(device)))
    return torch.hann_window(N_FFT, dtype=dtype, device=device), bands


def log_mel(waveform: Tensor, n_mels: int = 80, hop: int = HOP) -> Tensor:
    """log10 of the mel power spectrogram, (..., samples) -> (..., n_mels, samples // hop).

    Whisper's (https://arxiv.org/abs/2212.04356), before its normalisation: see `normalise`. Needs
    more than N_FFT / 2 samples. A float64 waveform is analysed in float64, whose last digits, in
    which processors differ, are lost when the result is rounded.

    Faster than the direct way because the power of a bin is never formed (squares of real and
    imaginary parts meet the filters as the FFT leaves them), the filters are applied in bands, and
    frames go through in blocks that stay in the cache.
    """
    n_frames = waveform.shape[-1] // hop
    half = N_FFT // 2
    if waveform.shape[-1] <= half:
        raise ValueError(f"log_mel: expected more than {half} samples, given {waveform.shape[-1]}")
    clips = waveform.reshape(-1, waveform.shape[-1])
    before, after = clips[:, 1 : half + 1].flip(-1), clips[:, -half - 1 : -1].flip(-1)
    padded = torch.cat([before, clips, after], dim=-1)  # reflected at both ends
    frames = padded.unfold(-1, N_FFT, hop)  # (clips, at least n_frames, N_FFT), a view
    dtype = torch.promote_types(waveform.dtype, torch.float32)
    window, bands = _window_and_bands(n_mels, dtype, waveform.device)
    mel = waveform.new_empty(len(frames), n_frames, n_mels)
    step = max(1, BLOCK // max(1, len(frames)))
    for start in range(0, n_frames, step):
        block = slice(start, min(start + step, n_frames))
        spectrum = torch.view_as_real(torch.fft.rfft(frames[:, block] * window))
        squares = spectrum.flatten(-2).square_()
        parts = [squares[..., heard] @ band for heard, band in bands]
        torch.cat(parts, dim=-1, out=mel[:, block])
    return mel.clamp_(min=FLOOR).log10_().mT.reshape(*waveform.shape[:-1], n_mels, n_frames)


def normalise(features: Tensor) -> Tensor:
    """Whisper's normalisation of each utterance: 8 decades of dynamic range, about [-1, 1].

    features (..., n_mels, frames) or (..., frames, n_mels): the last two axes are one utterance.
    """
    peak = features.amax(dim=(-2, -1), keepdim=True)
    return torch.maximum(features, peak - 8.0).add_(4.0).div_(4.0)
