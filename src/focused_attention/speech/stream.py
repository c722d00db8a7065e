"""A recording of any length and format as Whisper's features, in memory that does not grow with it.

OpenAI's front end (https://github.com/openai/whisper `audio.py`): 16-bit samples at 16 kHz, 100
log-mel frames a second of the recording with silence after it, normalised by the loudest value of
the whole. So a recording is read twice: for its length and its loudest value, then for windows.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from focused_attention.errors import UserError
from focused_attention.speech.audio import HOP, N_FFT, SAMPLE_RATE, log_mel

FRAMES_PER_SECOND = SAMPLE_RATE // HOP
BLOCK = 60 * SAMPLE_RATE  # samples turned into features at once
MARGIN = N_FFT // 2 // HOP + 1  # frames at a border that see past it


class Recording:
    """The features of a file, window after window.

    >>> Recording.of(np.zeros(16000, np.float32)).frames
    100
    """

    def __init__(self, file: Path, n_mels: int = 80):
        """Raises UserError for a file that is missing, empty or no recording."""
        self.file, self.n_mels, self._samples = file, n_mels, None
        self._measure()

    @classmethod
    def of(cls, waveform: np.ndarray, n_mels: int = 80) -> "Recording":
        """The features of samples (n,) at 16 kHz that are in memory."""
        recording = cls.__new__(cls)
        recording.file, recording.n_mels, recording._samples = Path("-"), n_mels, waveform
        recording._measure()
        return recording

    def _measure(self) -> None:
        samples, self.peak = 0, -torch.inf
        for waveform, features in self._blocks():
            samples += len(waveform)
            self.peak = max(self.peak, float(features.amax()))
        if samples == 0:
            raise UserError(f"{self.file}: holds no sound; name a recording")
        self.frames = samples // HOP  # whole ones
        self.seconds = samples / SAMPLE_RATE
        self._restart()

    def _restart(self) -> None:
        self._coming = self._blocks()
        self._first = 0  # frame of the recording that `_held` starts with
        self._held = torch.empty(self.n_mels, 0)

    def window(self, start: int, n_frames: int, *, pad: bool = True) -> Tensor:
        """Normalised frames `start` to `start + n_frames`, (n_mels, n_frames).

        What is past the end of the recording is zero, as openai-whisper pads a window, or is left
        out where `pad` is False. Windows are best asked for in their order.
        """
        if start < self._first:
            self._restart()
        end = min(start + n_frames, self.frames)
        while self._first + self._held.shape[1] < end:
            skipped = min(start - self._first, self._held.shape[1])
            self._first += skipped
            _, features = next(self._coming)
            self._held = torch.cat([self._held[:, skipped:], features], dim=1)
        features = self._held[:, start - self._first : end - self._first]
        features = torch.maximum(features, torch.tensor(self.peak - 8.0)).add(4.0).div(4.0)
        if pad:
            features = torch.nn.functional.pad(features, (0, n_frames - features.shape[1]))
        return features

    def _blocks(self) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Blocks of the waveform, and log10 mel powers (n_mels, frames) of which they make sure."""
        held, first = np.zeros(0, np.float32), True
        for waveform, last in _regular(self._pieces()):
            held = np.concatenate([held, waveform])
            if last:
                held = np.pad(held, (0, (2 * MARGIN + 1) * HOP))  # silence follows
            features = log_mel(torch.from_numpy(held), self.n_mels)
            done = features.shape[1] - MARGIN  # frames that no later sample changes
            yield waveform, features[:, 0 if first else MARGIN : done]
            held, first = held[(done - MARGIN) * HOP :], False

    def _pieces(self) -> Iterator[np.ndarray]:
        if self._samples is not None:
            yield self._samples
        else:
            yield from samples(self.file)


def samples(file: Path) -> Iterator[np.ndarray]:
    """A recording's samples at 16 kHz, mono, rounded to 16 bits, in [-1, 1), piece by piece.

    Raises UserError for a file that is missing or that FFmpeg's libraries cannot decode.
    """
    # Imported on use: a machine that only trains has no PyAV.
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    try:
        with av.open(str(file), format="g722" if file.suffix == ".g722" else None) as container:
            if not container.streams.audio:
                raise UserError(f"{file}: holds no sound; name a recording")
            for frame in container.decode(audio=0):
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray()[0].astype(np.float32) / 32768
            for piece in resampler.resample(None):
                yield piece.to_ndarray()[0].astype(np.float32) / 32768
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{file}: not a recording that can be decoded ({reason}); name one that plays"
        ) from None


def _regular(pieces: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """The same samples in pieces of `BLOCK` and a last one, each with whether it is the last."""
    waiting: list[np.ndarray] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        while size > BLOCK:
            whole = np.concatenate(waiting)
            yield whole[:BLOCK], False
            waiting, size = [whole[BLOCK:]], size - BLOCK
    if size:
        yield np.concatenate(waiting), True
