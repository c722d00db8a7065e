"""OpenAI's tokens: text, languages, tasks and times, from a checkpoint's `tokenizer.json`.

https://github.com/openai/whisper `tokenizer.py`. Text tokens are byte strings and come first; then
the end of text, the start, the languages, six marks, and 1501 times 20 ms apart, of which the file
names none. What may not be written and which heads tell the times of words is in `config.json` (of
CTranslate2) or `generation_config.json` (of Hugging Face).
"""

import json
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from focused_attention.errors import UserError

TIME_STEP = 0.02  # seconds from one time token to the next
N_TIMES = 1501  # 0 to 30 seconds
TASKS = ("transcribe", "translate")
UNSPACED = {"zh", "ja", "th", "lo", "my", "yue"}  # languages written without spaces
REPLACEMENT = "\ufffd"  # shown for bytes that are only a part of a character


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a checkpoint says beside its weights."""

    suppressed: tuple[int, ...]  # tokens that are never written
    first_suppressed: tuple[int, ...]  # nor written first: a blank, and the end
    alignment_heads: tuple[tuple[int, int], ...] | None  # (layer, head) of cross-attention


class WhisperTokenizer:
    """Text to tokens and back; names of special tokens as in openai/whisper."""

    def __init__(self, file: Path):
        """Raises UserError where `file` is missing or no tokenizer of Whisper's."""
        # Imported on use: a machine that only trains has no tokenizers package.
        from tokenizers import Tokenizer

        try:
            content = json.loads(file.read_text("utf-8"))
            vocabulary = _mended(content["model"])["vocab"]
            self._model = Tokenizer.from_str(json.dumps(content))
        except Exception as error:  # the package raises nothing narrower
            raise UserError(
                f"{file}: not a tokenizer that can be read ({' '.join(str(error).split())}); "
                "put the checkpoint's own tokenizer.json there"
            ) from None
        self._specials = {
            token.content.strip("<|>"): i
            for i, token in self._model.get_added_tokens_decoder().items()
        }
        if lacking := {"endoftext", "startoftranscript", "notimestamps"} - self._specials.keys():
            raise UserError(f"{file}: not of Whisper, it has no <|{min(lacking)}|> token")
        self.eot = self._specials["endoftext"]
        values = {character: byte for byte, character in enumerate(_characters())}
        self._bytes = {
            i: bytes(values[c] for c in piece) for piece, i in vocabulary.items() if i < self.eot
        }

    @property
    def sot(self) -> int:
        return self._specials["startoftranscript"]

    @property
    def sot_prev(self) -> int:
        return self._specials["startofprev"]

    @property
    def no_speech(self) -> int:
        return self._specials.get("nospeech", self._specials.get("nocaptions"))

    @property
    def no_timestamps(self) -> int:
        return self._specials["notimestamps"]

    @property
    def timestamp_begin(self) -> int:
        return self.no_timestamps + 1

    @cached_property
    def languages(self) -> dict[str, int]:
        """Code -> token; English alone has none."""
        between = (self.sot + 1, self._specials["translate"])
        found = {name: i for name, i in self._specials.items() if between[0] <= i < between[1]}
        return found if self.multilingual else {}

    @property
    def multilingual(self) -> bool:
        return self.eot > 50256  # one more text token than GPT-2's vocabulary

    def prefix(self, language: str | None, task: str = "transcribe") -> list[int]:
        """What every transcript starts with; an English-only model is told neither of the two.

        Raises UserError for a language or a task that the model has not.
        """
        if task not in TASKS:
            raise UserError(f"unknown task '{task}'; choose one of {', '.join(TASKS)}")
        if not self.multilingual:
            if language not in (None, "en") or task != "transcribe":
                asked = "translate" if task != "transcribe" else f"hear '{language}'"
                raise UserError(
                    f"this model hears English alone, it cannot {asked}; take a multilingual one, "
                    "as --model base"
                )
            return [self.sot]
        if language not in self.languages:
            raise UserError(
                f"unknown language '{language}'; choose one of {', '.join(self.languages)}"
            )
        return [self.sot, self.languages[language], self._specials[task]]

    def encode(self, text: str) -> list[int]:
        return self._model.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, without specials and times; broken characters are replaced."""
        pieces = [self._bytes[token] for token in tokens if token < self.eot]
        return b"".join(pieces).decode("utf-8", errors="replace")

    def words(self, tokens: Sequence[int], language: str | None) -> list[tuple[str, list[int]]]:
        """Text tokens cut into words and punctuation marks, each with its leading space."""
        characters = self._characters(tokens)
        if language in UNSPACED:
            return characters
        words: list[tuple[str, list[int]]] = []
        for text, of in characters:
            alone = text.startswith(" ") or text.strip() in string.punctuation
            if alone or not words:
                words.append((text, list(of)))
            else:
                words[-1] = (words[-1][0] + text, words[-1][1] + of)
        return words

    def _characters(self, tokens: Sequence[int]) -> list[tuple[str, list[int]]]:
        """Tokens in the smallest groups that are whole characters."""
        whole, done = self.decode(tokens), 0
        groups: list[tuple[str, list[int]]] = []
        waiting: list[int] = []
        for token in tokens:
            waiting.append(token)
            text = self.decode(waiting)
            broken = text.find(REPLACEMENT)
            if broken < 0 or whole[done + broken] == REPLACEMENT:  # broken in the whole, too
                groups.append((text, waiting))
                waiting, done = [], done + len(text)
        return groups


def rules(folder: Path) -> Rules:
    """What a checkpoint's folder says about suppressed tokens and heads.

    Raises UserError where neither of the two files says it.
    """
    for name, first in (
        ("generation_config.json", "begin_suppress_tokens"),
        ("config.json", "suppress_ids_begin"),
    ):
        never = "suppress_tokens" if name.startswith("gen") else "suppress_ids"
        try:
            content = json.loads((folder / name).read_text("utf-8"))
        except FileNotFoundError:
            continue
        except json.JSONDecodeError as error:
            raise UserError(f"{folder / name}: not valid JSON ({error}); fetch it again") from None
        if never in content:
            heads = content.get("alignment_heads")
            return Rules(
                suppressed=tuple(content[never]),
                first_suppressed=tuple(content[first]),
                alignment_heads=heads and tuple((layer, head) for layer, head in heads),
            )
    raise UserError(
        f"{folder}: neither generation_config.json nor config.json names the suppressed tokens; "
        "put the checkpoint's own beside its weights"
    )


def _mended(model: dict) -> dict:
    """A byte-pair model with the merges that it lost, in place.

    Hugging Face's file for the multilingual models lacks the very first, a blank and "t", without
    which no word that starts with t is encoded as OpenAI did. A piece of two characters has only
    one merge that can make it, and pieces are numbered in the order of their merges.
    """
    together = "".join if model["merges"] and isinstance(model["merges"][0], list) else _unspaced
    made = {together(merge) for merge in model["merges"]}
    lost = [piece for piece in model["vocab"] if len(piece) == 2 and piece not in made]
    for piece in sorted(lost, key=model["vocab"].get, reverse=True):
        model["merges"].insert(0, list(piece) if together is not _unspaced else " ".join(piece))
    return model


def _unspaced(merge: str) -> str:
    return merge.replace(" ", "")


def _characters() -> list[str]:
    """The character by which GPT-2's vocabulary writes each byte: itself where it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = (chr(256 + i) for i in range(256))
    return [chr(byte) if byte in seen else next(others) for byte in range(256)]
