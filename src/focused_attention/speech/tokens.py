"""Text to tokens and back, and Whisper's special tokens.

A word begins with the marker `▁` and is encoded by itself, whatever is around it, so the tokens of
"one two" are the tokens of "one" and then those of "two": a composed utterance's tokens are the
concatenation of its recordings'.

Training needs the `tokenizers` package; a trained tokenizer is one JSON file and pure Python.
"""

import json
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

from focused_attention.errors import UserError

KINDS = ("bpe", "chars", "words")
MARK = "▁"
UNKNOWN = "<unk>"
TASKS = ("transcribe", "translate", "recall", "spot")


class Tokenizer:
    """Pieces of text first (`<unk>` is 0), then the specials.

    >>> tokenizer = Tokenizer.train(["one two"], kind="chars", languages=["en"])
    >>> tokenizer.decode([tokenizer.sot, *tokenizer.encode("two one"), tokenizer.eot])
    'two one'
    """

    def __init__(
        self,
        kind: str,
        pieces: list[str],
        merges: list[tuple[str, str]],
        languages: list[str],
    ):
        self.kind = kind
        self.pieces = pieces
        self.merges = merges
        self.languages = languages
        self.specials = {
            name: len(pieces) + i
            for i, name in enumerate(
                ["<|endoftext|>", "<|startoftranscript|>"]
                + [f"<|{language}|>" for language in languages]
                + [f"<|{task}|>" for task in TASKS]
            )
        }
        self._ids = {piece: i for i, piece in enumerate(pieces)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._encode_once = cache(self._encode_word)

    @property
    def size(self) -> int:
        return len(self.pieces) + len(self.specials)

    @property
    def unk(self) -> int:
        return 0

    @property
    def eot(self) -> int:
        return self.specials["<|endoftext|>"]

    @property
    def sot(self) -> int:
        return self.specials["<|startoftranscript|>"]

    @property
    def transcribe(self) -> int:
        return self.specials["<|transcribe|>"]

    @property
    def translate(self) -> int:
        return self.specials["<|translate|>"]

    @property
    def recall(self) -> int:
        return self.specials["<|recall|>"]

    @property
    def spot(self) -> int:
        return self.specials["<|spot|>"]

    def language(self, language: str) -> int:
        if language not in self.languages:
            raise UserError(
                f"the tokenizer has no language '{language}', only {', '.join(self.languages)}; "
                "add it to fetch.corpora in params.yaml and run stage prepare again"
            )
        return self.specials[f"<|{language}|>"]

    def prefix(self, language: str, task: str) -> list[int]:
        """What the decoder is given: start, language, task."""
        if task not in TASKS:
            raise UserError(f"unknown task '{task}'; known are {', '.join(TASKS)}")
        return [self.sot, self.language(language), self.specials[f"<|{task}|>"]]

    def encode(self, text: str) -> list[int]:
        return [token for word in text.split() for token in self._encode_once(word)]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, without specials; the unknown piece shows as itself."""
        n = len(self.pieces)
        text = "".join(self.pieces[token] for token in tokens if token < n)
        return " ".join(text.replace(MARK, " ").split())

    def _encode_word(self, word: str) -> list[int]:
        if self.kind == "words":
            return [self._ids.get(MARK + word, self.unk)]
        symbols = [MARK, *word]
        while len(symbols) > 1:  # the earliest learnt merge first, as BPE is defined
            ranks = [self._ranks.get(pair, len(self.merges)) for pair in pairwise(symbols)]
            best = min(ranks)
            if best == len(self.merges):
                break
            i = ranks.index(best)
            symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
        return [self._ids.get(symbol, self.unk) for symbol in symbols]

    @classmethod
    def train(
        cls, texts: Iterable[str], *, kind: str, languages: Iterable[str], size: int = 0
    ) -> "Tokenizer":
        """Learn from `texts`; `size` is the number of text pieces of a BPE vocabulary."""
        if kind not in KINDS:
            raise UserError(
                f"params.yaml: prepare.tokenizer: unknown tokenizer '{kind}'; "
                f"known are {', '.join(KINDS)}"
            )
        words = [MARK + word for text in texts for word in text.split()]
        alphabet = sorted({MARK, *"".join(words)})
        merges: list[tuple[str, str]] = []
        if kind == "words":
            pieces = [UNKNOWN, *sorted(set(words))]
        elif kind == "chars":
            pieces = [UNKNOWN, *alphabet]
        else:
            merges = _learn_merges(words, alphabet, size)
            pieces = [UNKNOWN, *alphabet, *dict.fromkeys(a + b for a, b in merges)]
        return cls(kind, pieces, merges, sorted(set(languages)))

    def save(self, file: Path) -> None:
        content = {
            "kind": self.kind,
            "languages": self.languages,
            "pieces": self.pieces,
            "merges": [list(pair) for pair in self.merges],
        }
        file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, file: Path) -> "Tokenizer":
        content = json.loads(file.read_text("utf-8"))
        merges = [(first, second) for first, second in content["merges"]]
        return cls(content["kind"], content["pieces"], merges, content["languages"])


def _learn_merges(words: list[str], alphabet: list[str], size: int) -> list[tuple[str, str]]:
    """Byte-pair encoding's merges, in the order learnt."""
    # Imported on use: a machine that only trains has no tokenizers package.
    from tokenizers import Tokenizer as Model
    from tokenizers import models, pre_tokenizers, trainers

    model = Model(models.BPE(unk_token=UNKNOWN))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[UNKNOWN],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    model.train_from_iterator([" ".join(words)], trainer)
    return [(first, second) for first, second in json.loads(model.to_str())["model"]["merges"]]
