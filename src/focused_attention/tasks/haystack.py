"""Needles in haystacks of speech: tasks in which most of what is said must be passed over.

    recall   |may|four| |pound| |june|two| |hello| |march|nine|      asked "june":  "two"
    spot     |please enter| |seven| |your call is important| |one|   "seven one"

`recall` holds pairs of a key (a weekday or a month) and a value (a digit), with other words between
the pairs; the prompt ends with a key, and the answer is its value. In training the other keys are
asked after the answer, each answered in its turn: as many questions as a recording can bear.
`spot` holds digits among whole prompts; the answer is the digits. What is to be passed over
is never written: neither by the decoder nor in the transcript for CTC. So few words are ever
written that each has a token of its own.

Whoever is to find must be able to read: the first batches are strings of keys and digits that grow
from one word, to be written whole, or what follows each word asked. In seven trials without them
(1300 to 2700 steps) no model bound a value to its key.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from focused_attention.errors import UserError
from focused_attention.params import Haystack
from focused_attention.speech.store import FeatureStore
from focused_attention.speech.tokens import Tokenizer
from focused_attention.tasks.batches import POOL, Batch, bucketed, shuffled
from focused_attention.tasks.compose import Composer, split_of
from focused_attention.tasks.utterances import DIGITS, Utterance

TASKS = ("recall", "spot")
TRIES = 1000  # to draw needles of a split
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
KEYS = frozenset(WEEKDAYS + MONTHS)
NEEDLES = KEYS | DIGITS


def closed(store: FeatureStore) -> FeatureStore:
    """The store with a token for every key and digit; other words are unknown to its tokenizer."""
    languages = store.tokenizer.languages
    return store.spelled(Tokenizer.train(sorted(NEEDLES), kind="words", languages=languages))


class HaystackComposer:
    """Plans utterances of `recall` and `spot`; `composer` renders them."""

    def __init__(self, composer: Composer, params: Haystack):
        self.composer, self.params = composer, params
        recordings = composer.store.recordings
        words = composer.lexicon["words"]
        self.values = composer.lexicon["digits"]
        self.needles: dict[str, list[int]] = {}  # recordings of every key and digit
        for i in words:
            if recordings[i].text in NEEDLES:
                self.needles.setdefault(recordings[i].text, []).append(i)
        self.keys = sorted(KEYS & set(self.needles))
        self.hay = [i for i in words if recordings[i].text not in NEEDLES]
        self.prompts = {
            split: [
                i
                for i in composer.of("transcribe", split)
                if not DIGITS & set(recordings[i].text.split())
            ]
            for split in ("train", "dev", "test")
        }

    def recall(
        self, split: str, rng: np.random.Generator, pairs: int, hay: int, augment: bool
    ) -> Utterance:
        """`pairs` pairs with `hay` words before, between and after them."""

        def draw() -> list[int]:
            names = (self.keys[i] for i in rng.permutation(len(self.keys))[:pairs])
            drawn = ((rng.choice(self.needles[n]), rng.choice(self.values)) for n in names)
            return [int(i) for pair in drawn for i in pair]

        needles = self.of_split(split, draw)
        places = rng.integers(pairs + 1, size=hay)  # of every word: before which pair
        chosen: list[int] = []
        for pair in range(pairs + 1):
            chosen += [int(rng.choice(self.hay)) for _ in range((places == pair).sum())]
            chosen += needles[2 * pair : 2 * pair + 2]
        asked = [2 * int(pair) for pair in rng.permutation(pairs)]
        return self.asked(needles, asked if augment else asked[:1], chosen, rng, augment)

    def spot(
        self, split: str, rng: np.random.Generator, digits: int, prompts: int, augment: bool
    ) -> Utterance:
        """`digits` digits with `prompts` whole prompts before, between and after them."""
        needles = self.of_split(
            split, lambda: [int(i) for i in rng.choice(self.values, size=digits)]
        )
        places = rng.integers(digits + 1, size=prompts)
        chosen: list[int] = []
        for place in range(digits + 1):
            chosen += [int(i) for i in rng.choice(self.prompts[split], (places == place).sum())]
            chosen += needles[place : place + 1]
        return self.utterance("spot", needles, needles, chosen, rng, augment)

    def string(self, split: str, rng: np.random.Generator, words: int, augment: bool) -> Utterance:
        """`words` different keys and digits in any order: to be written whole, or, in half of the
        strings of two or more, asked word by word what follows, as `recall` asks its keys.
        """
        names = sorted(self.needles)

        def draw() -> list[int]:
            drawn = (names[i] for i in rng.permutation(len(names))[:words])
            return [int(rng.choice(self.needles[name])) for name in drawn]

        needles = self.of_split(split, draw)
        if words == 1 or rng.random() < 0.5:
            return self.utterance("words", needles, needles, needles, rng, augment)
        asked = [int(place) for place in rng.permutation(words - 1)]
        return self.asked(needles, asked, needles, rng, augment)

    def asked(
        self,
        needles: list[int],
        asked: list[int],  # places in `needles`
        chosen: list[int],
        rng: np.random.Generator,
        augment: bool,
    ) -> Utterance:
        """What follows each of the needles asked, one question after the other."""
        recordings = self.composer.store.recordings
        spoken = [[recordings[needles[i]].tokens for i in (at, at + 1)] for at in asked]
        (query, first), *others = spoken
        tokens, told = [*first], []
        for question, answer in others:
            told += range(len(tokens), len(tokens) + len(question))
            tokens += question + answer
        answers = [needles[at + 1] for at in asked]
        return self.utterance(
            "recall", needles, answers, chosen, rng, augment,
            tokens=tuple(tokens), query=query, told=tuple(told),
        )  # fmt: skip

    def sources(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Where what each decoder position must write next is said: start and end, (B, L) each.

        In feature frames, not a number where nothing that is said must be written, and after the
        first of several questions.
        """
        recordings, decode = self.composer.store.recordings, self.composer.store.tokenizer.decode
        start, end = (torch.full(batch.targets.shape, torch.nan) for _ in range(2))
        for b, u in enumerate(batch.utterances):
            said = [
                (word, len(recordings[i].tokens))
                for word, i in zip(self.composer.words(u), u.recordings, strict=True)
                if word.text in NEEDLES
            ]
            if u.query:
                texts = [word.text for word, _ in said]
                place = texts.index(decode(u.query)) + 1
                said = said[place : place + 1]
            position = len(self.composer.prefix(u)) - 1
            for word, n in said:
                start[b, position : position + n] = word.start
                end[b, position : position + n] = word.end
                position += n
        return start, end

    def text(self, recordings: list[int]) -> str:
        return " ".join(self.composer.store.recordings[i].text for i in recordings)

    def of_split(self, split: str, draw: Callable[[], list[int]]) -> list[int]:
        """The first needles drawn whose text belongs to `split`.

        Raises UserError if none does, as may be with a single digit: there are only ten.
        """
        for _ in range(TRIES):
            needles = draw()
            if split_of(self.text(needles), self.composer.dev, self.composer.test) == split:
                return needles
        raise UserError(
            f"params.yaml: haystack: none of {TRIES} draws of {len(needles)} words belongs to "
            f"split {split!r}; ask for more pairs or digits"
        )

    def utterance(self, task, needles, answer, chosen, rng, augment, **prompt) -> Utterance:
        composer = self.composer
        recordings = composer.store.recordings
        gaps = rng.uniform(*composer.params.gap, size=len(chosen) + 1) / composer.frame
        return composer.vary(
            task,
            f"{self.text(chosen)} → {self.text(answer)}",
            composer.params.language,
            self.text(answer),
            prompt.pop("tokens", tuple(t for i in answer for t in recordings[i].tokens)),
            tuple(chosen),
            tuple(round(gap) for gap in gaps),
            rng,
            augment,
            heard=tuple(t for i in needles for t in recordings[i].tokens),
            **prompt,
        )

    def training(
        self,
        mixture: dict[str, float],
        batch_seconds: float,
        seed: int | list[int],
        curriculum: int = 0,
    ) -> Iterator[list[Utterance]]:
        """Plans of training batches without end, as `Composer.training` makes them.

        The first `reading` batches are strings, which grow from one word. Over the next
        `curriculum` batches the most needles and the most hay grow from the fewest.
        """
        rng, drawn, reading = np.random.default_rng(seed), 0, self.params.reading
        shares = np.array([mixture[task] for task in mixture]) / sum(mixture.values())
        while True:
            reads = drawn < reading
            done, lasts = (drawn, reading) if reads else (drawn - reading, curriculum)
            growth = min(1.0, done / lasts) if lasts else 1.0
            pool = [
                self.draw("words" if reads else str(task), rng, growth)
                for task in rng.choice(list(mixture), size=POOL, p=shares)
            ]
            batches = bucketed(pool, batch_seconds / self.composer.frame)
            drawn += len(batches)
            yield from shuffled(batches, rng)

    def draw(self, task: str, rng: np.random.Generator, growth: float) -> Utterance:
        """A training utterance of `task`, of the sizes that `growth` allows."""
        params = self.params

        def size(bounds: list[int]) -> int:
            low, high = bounds
            return int(rng.integers(low, low + math.ceil(growth * (high - low)) + 1))

        match task:
            case "words":
                return self.string("train", rng, size(params.strings), augment=True)
            case "recall":
                pairs, hay = size(params.pairs), size(params.words)
                return self.recall("train", rng, pairs, hay, augment=True)
            case "spot":
                digits, hay = size(params.digits), size(params.prompts)
                return self.spot("train", rng, digits, hay, augment=True)
        raise UserError(
            f"params.yaml: seek.mixture: unknown task {task!r}; choose from words, recall, spot"
        )

    def evaluation(
        self, task: str, split: str, needles: int, hay: int, limit: int
    ) -> list[Utterance]:
        """`limit` utterances of one size: always the same, unaugmented."""
        rng = np.random.default_rng(
            [len(TASKS) + TASKS.index(task), ("dev", "test").index(split), needles, hay]
        )
        return [getattr(self, task)(split, rng, needles, hay, augment=False) for _ in range(limit)]
