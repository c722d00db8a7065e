"""The feature store: every recording's features in one memory-mapped file.

    features/frames.npy       (frames, n_mels) float16, recording after recording, speed after speed
    features/recordings.json  one entry a recording, in the order of the frames
    features/tokenizer.json   see tokens.py
    features/meta.json        sample rate, hop, n_mels, speeds

Opening reads the two JSON files and maps the frames; a recording's features are a view. Needs
NumPy alone.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from focused_attention.errors import UserError
from focused_attention.paths import FEATURES
from focused_attention.speech.tokens import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One recording with speech; texts are normalised, the translation is English."""

    id: str  # "asterisk/en/digits/1"
    corpus: str
    language: str
    key: str
    speaker: str
    split: str  # train, dev or test
    text: str
    translation: str | None
    tokens: tuple[int, ...]
    translation_tokens: tuple[int, ...] | None
    seconds: float  # as recorded
    frames: tuple[int, ...]  # at each speed, silence at both ends trimmed


@dataclass(frozen=True, kw_only=True, slots=True)
class Meta:
    sample_rate: int
    hop: int  # samples
    n_mels: int
    speeds: tuple[float, ...]  # the first is the recording as it is


class FeatureStore:
    """Features are log10 mel powers, silence-trimmed, before Whisper's normalisation."""

    def __init__(
        self, meta: Meta, recordings: list[Recording], frames: np.ndarray, tokenizer: Tokenizer
    ):
        self.meta = meta
        self.recordings = recordings
        self.tokenizer = tokenizer
        self._frames = frames  # (all frames, n_mels)
        counts = [recording.frames for recording in recordings]
        self._ends = np.cumsum(counts).reshape(len(recordings), len(meta.speeds))

    def __len__(self) -> int:
        return len(self.recordings)

    def features(self, index: int, speed: int = 0) -> np.ndarray:
        """Features of recording `index` at `meta.speeds[speed]`, (frames, n_mels) float16."""
        end = self._ends[index, speed]
        return self._frames[end - self.recordings[index].frames[speed] : end]

    def spelled(self, tokenizer: Tokenizer) -> "FeatureStore":
        """The same recordings with the tokens of another tokenizer; translations have none."""
        recordings = [
            replace(r, tokens=tuple(tokenizer.encode(r.text)), translation_tokens=None)
            for r in self.recordings
        ]
        return FeatureStore(self.meta, recordings, self._frames, tokenizer)

    @classmethod
    def open(cls, folder: Path = FEATURES) -> "FeatureStore":
        try:
            meta = _read(folder / "meta.json")
            entries = _read(folder / "recordings.json")
            frames = np.load(folder / "frames.npy", mmap_mode="r")
            tokenizer = Tokenizer.load(folder / "tokenizer.json")
        except FileNotFoundError as error:
            raise UserError(f"{error.filename}: no such file; run stage prepare first") from error
        except (ValueError, EOFError) as error:
            raise UserError(
                f"{folder}: damaged ({error}); delete it and run stage prepare again"
            ) from error
        recordings = [Recording(**_tuples(entry)) for entry in entries]
        return cls(Meta(**_tuples(meta)), recordings, frames, tokenizer)


def write(
    folder: Path,
    meta: Meta,
    recordings: list[Recording],
    features: Sequence[np.ndarray],
    tokenizer: Tokenizer,
) -> None:
    """Write a store whole: until the last moment its files lie in a hidden folder beside it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            fresh = Path(scratch) / folder.name
            fresh.mkdir()
            np.save(fresh / "frames.npy", np.concatenate(features, dtype=np.float16))
            _write(fresh / "recordings.json", [asdict(recording) for recording in recordings])
            _write(fresh / "meta.json", asdict(meta))
            tokenizer.save(fresh / "tokenizer.json")
            if folder.exists():
                shutil.rmtree(folder)
            fresh.rename(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: could not be written ({error.strerror}); free some space and run again"
        ) from error


def _tuples(entry: dict) -> dict:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}


def _read(file: Path):
    return json.loads(file.read_text("utf-8"))


def _write(file: Path, content) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
