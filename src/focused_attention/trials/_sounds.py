"""Thirty-second clips in which nobody speaks: music, silence, noise and what telephones sound like.

A clip's source is what it shares with others of its kind: a piece of music, a noise at a level.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.trials import WINDOW

SAMPLES = round(WINDOW * SAMPLE_RATE)
TONES = (125, 250, 500, 1000, 2000, 4000)  # Hz
SIGNALS = {  # North America's, and a fax's: frequencies that sound together, seconds on and off
    "dial": [((350, 440), 1.0, 0.0)],
    "ringback": [((440, 480), 2.0, 4.0)],
    "busy": [((480, 620), 0.5, 0.5)],
    "congestion": [((480, 620), 0.25, 0.25)],
    "information": [((950,), 0.33, 0.0), ((1400,), 0.33, 0.0), ((1800,), 0.33, 1.0)],
    "fax": [((1100,), 0.5, 3.0)],
}
ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)  # Hz, of a telephone's keys
KEY = (0.1, 0.1)  # seconds that a key sounds, and after it


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    kind: str  # music, silence, white, pink, tone or signal
    source: str
    samples: np.ndarray  # (SAMPLES,) float32


def clips(
    music: Mapping[str, np.ndarray],
    *,
    noise: list[float],
    tones: list[float],
    variants: int,
    seed: int,
) -> list[Clip]:
    """All whole windows of the music, by piece, and what is generated; the same for a seed.

    `noise` and `tones` are levels in dB of full scale; of what is drawn, a noise and the keys that
    are pressed, there are so many `variants` at every level.
    """
    rng = np.random.default_rng(seed)
    found = [
        Clip(kind="music", source=name, samples=samples[start : start + SAMPLES])
        for name, samples in music.items()
        for start in range(0, len(samples) - SAMPLES + 1, SAMPLES)
    ]

    def add(kind: str, source: str, wave: np.ndarray, level: float) -> None:
        found.append(Clip(kind=kind, source=source, samples=scaled(wave, level)))

    add("silence", "silence", np.zeros(SAMPLES), 0.0)
    for kind, power in (("white", 0.0), ("pink", -1.0)):
        for level in noise:
            for _ in range(variants):
                add(kind, f"{kind}{level:g}dB", coloured(rng, power), level)
    for level in tones:
        for hertz in TONES:
            add("tone", f"{hertz}Hz", sounded([((hertz,), 1.0, 0.0)]), level)
        for name, pattern in SIGNALS.items():
            add("signal", name, sounded(pattern), level)
        for _ in range(variants):
            keys = rng.integers(4, size=(round(WINDOW / sum(KEY)), 2))
            pressed = [((ROWS[row], COLUMNS[column]), *KEY) for row, column in keys]
            add("signal", "keys", sounded(pressed), level)
    return found


def halves(clips: list[Clip]) -> dict[str, int]:
    """0 or 1 for every source, in turn from that of the most clips: halves share no source."""
    count = Counter(clip.source for clip in clips)
    return {source: i % 2 for i, (source, _) in enumerate(count.most_common())}


def coloured(rng: np.random.Generator, power: float) -> np.ndarray:
    """Noise whose power goes as the frequency to `power`: 0 is white, -1 pink."""
    spectrum = np.fft.rfft(rng.standard_normal(SAMPLES))
    spectrum[0] = 0.0
    spectrum[1:] *= np.arange(1.0, len(spectrum)) ** (power / 2)
    return np.fft.irfft(spectrum, SAMPLES)


def sounded(pattern: list[tuple[tuple[int, ...], float, float]]) -> np.ndarray:
    """Tones one after the other, again and again: their frequencies, seconds on and off."""
    seconds = np.arange(SAMPLES) / SAMPLE_RATE
    wave, at = np.zeros(SAMPLES), 0
    while at < SAMPLES:
        for frequencies, on, off in pattern:
            part = slice(at, at + round(on * SAMPLE_RATE))
            for hertz in frequencies:
                wave[part] += np.sin(2 * np.pi * hertz * seconds[part])
            at += round((on + off) * SAMPLE_RATE)
    return wave


def scaled(wave: np.ndarray, level: float) -> np.ndarray:
    """The wave, float32, at so many dB of full scale: the mean power of where it is not zero."""
    heard = wave[wave != 0]
    if not len(heard):
        return wave.astype(np.float32)
    return (wave * 10 ** (level / 20) / np.sqrt(np.square(heard).mean())).astype(np.float32)
