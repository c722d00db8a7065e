"""What was said in which recording, and which split it belongs to.

A split is decided by a hash, so it depends on no order and no random generator. Keys are parallel
between the languages of a corpus (`digits/1` is "one", "uno", "un"), so one key is in one split in
every language; and keys that share a text anywhere, as transcript or as translation, are united
first, so that no sentence is in two splits. (So a split may change when another corpus, which
shares a sentence, is read beside it.)
"""

import fnmatch
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from focused_attention.errors import UserError

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One recording and what is said in it; `text` is empty where nobody speaks."""

    corpus: str
    language: str
    key: str
    path: Path
    text: str
    translation: str | None  # English
    speaker: str
    licence: str

    @property
    def id(self) -> str:
        return f"{self.corpus}/{self.language}/{self.key}"


def check_pairs(
    recordings: Mapping[str, Path], texts: Collection[str], source: Path, unpaired: Iterable[str]
) -> None:
    """Every recording has a text in `source` and every text a recording.

    `unpaired` names the known exceptions, as shell patterns of keys.
    """
    known = re.compile("|".join(fnmatch.translate(pattern) for pattern in unpaired) or r"(?!)")
    for key in sorted(recordings.keys() ^ set(texts)):
        if known.match(key):
            continue
        if key in recordings:
            raise UserError(
                f"{recordings[key]}: audio without transcript; give {key} a text in {source}, "
                "or remove the recording"
            )
        raise UserError(
            f"{source}: transcript without audio: there is no recording of {key}; "
            "run stage fetch again, or remove the text"
        )


@cache
def normalise(text: str) -> str:
    """Whisper's basic normaliser: no case, no punctuation, nothing in brackets.

    >>> normalise("Press [beep] the Pound-key...")
    'press the pound key'
    """
    return _normaliser()(text).strip()


@cache
def _normaliser():
    # Imported on use: a machine that only trains has no whisper-normalizer.
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()


def hashed_share(key: str) -> float:
    """A key's place in [0, 1), uniform over keys and the same everywhere."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def assign_splits(
    utterances: Iterable[Utterance], *, dev: float, test: float
) -> dict[tuple[str, str], str]:
    """(corpus, key) -> split, shares of about `dev` and `test`, no text in two splits."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    first_with: dict[str, tuple[str, str]] = {}
    for utterance in utterances:
        node = (utterance.corpus, utterance.key)
        parent.setdefault(node, node)
        for text in {normalise(utterance.text), normalise(utterance.translation or "")} - {""}:
            a, b = root(node), root(first_with.setdefault(text, node))
            parent[max(a, b)] = min(a, b)  # the smallest key names the component

    splits = {}
    for node in parent:
        share = hashed_share("/".join(root(node)))
        splits[node] = "test" if share < test else "dev" if share < test + dev else "train"
    return splits
