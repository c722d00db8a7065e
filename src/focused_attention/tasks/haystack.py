"""Needles in haystacks of speech: tasks in which most of what is said must be passed over.

    recall   |may|four| |pound| |two| |june| |hello| |march|nine| |six|     asked "march":  "nine"
    spot     |please enter| |seven| |your call is important| |one|          "seven one"

`recall` holds pairs of a key (a weekday or a month) and a value (a digit); the prompt ends with a
key, and the answer is the digit said right after it. Lone digits and lone keys stand among them, so
that whoever names any digit that was heard is right once in as many as there are. No digit and no
key is said twice, and no lone key right before a digit. Around them lie other words; the same
stretches may be silence, or other prompts. In training the other keys are asked after the answer,
each answered in its turn: as many questions as a recording can bear.

`spot` holds digits among whole prompts; the answer is the digits. What is to be passed over is
never written: neither by the decoder nor in the transcript for CTC. So few words are ever written
that each has a token of its own.

Whoever is to find must be able to read: the first batches are strings of keys and digits that grow
from one word, to be written whole or, most of them, asked word by word what follows.
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
from focused_attention.tasks.needles import Needles
from focused_attention.tasks.passing import Said, filled, order
from focused_attention.tasks.sizes import Recall, Size, Spot
from focused_attention.tasks.utterances import Utterance

TASKS = ("recall", "spot")
EDITION = 3  # of the recordings that are evaluated: what trials heard is never asked again
TRIES = 1000  # to draw needles of a split


def closed(store: FeatureStore) -> FeatureStore:
    """The store with a token for every key and digit; other words are unknown to its tokenizer."""
    languages = store.tokenizer.languages
    spoken = {r.language for r in store.recordings}
    words = frozenset().union(*(Needles.of(store, language).words for language in spoken))
    return store.spelled(Tokenizer.train(sorted(words), kind="words", languages=languages))


class HaystackComposer:
    """Plans utterances of `recall` and `spot`; `composer` renders them."""

    def __init__(self, composer: Composer, params: Haystack):
        self.composer, self.params = composer, params
        recordings = composer.store.recordings
        self.needles = Needles.of(composer.store, composer.params.language)
        self.said: dict[str, list[int]] = {}  # recordings of every key and digit
        for i in composer.lexicon["words"]:
            if recordings[i].text in self.needles.words:
                self.said.setdefault(recordings[i].text, []).append(i)
        self.hay = [
            i for i in composer.lexicon["words"] if recordings[i].text not in self.needles.words
        ]
        self.prompts = {
            split: [
                i
                for i in composer.of("transcribe", split)
                if not self.needles.words & set(recordings[i].text.split())
            ]
            for split in ("train", "dev", "test")
        }

    def recall(
        self, split: str, rng: np.random.Generator, size: Recall, augment: bool
    ) -> Utterance:
        """An utterance of this size. Two that differ in their filler alone differ in nothing else.

        Its split is that of its pairs.
        """
        words: list[list[int]] = []

        def draw() -> list[int]:
            words[:] = (
                self.drawn(rng, self.needles.keys, size.pairs + size.keys),
                self.drawn(rng, self.needles.values, size.pairs + size.digits),
            )
            return [i for pair in list(zip(*words, strict=False))[: size.pairs] for i in pair]

        self.of_split(split, draw)
        keys, digits = words
        places = rng.permutation(size.pairs)
        asked = [keys[place] for place in (places if augment else places[:1])]
        lone = {"k": iter(keys[size.pairs :]), "d": iter(digits[size.pairs :])}
        pairs = zip(keys, digits, strict=False)
        said: list[Said] = []
        for kind in order(rng, size.pairs, size.digits, size.keys, size.words):
            match kind:
                case "p":
                    said += map(Said, next(pairs))
                case "w":
                    said.append(Said(int(rng.choice(self.hay)), hay=True))
                case _:
                    said.append(Said(next(lone[kind])))
        needles = [one.recording for one in said if not one.hay]
        gaps = self.gaps(rng, len(said))
        fillers = np.random.default_rng(rng.integers(2**32))  # so that all else is drawn alike
        chosen, gaps = filled(
            said, gaps, size.filler, self.composer.store, self.prompts[split], fillers
        )
        return self.asked(needles, [needles.index(i) for i in asked], chosen, gaps, rng, augment)

    def drawn(self, rng: np.random.Generator, words: tuple[str, ...], count: int) -> list[int]:
        """Recordings of so many different words."""
        chosen = (words[i] for i in rng.permutation(len(words))[:count])
        return [int(rng.choice(self.said[word])) for word in chosen]

    def gaps(self, rng: np.random.Generator, recordings: int) -> tuple[int, ...]:
        """Frames of silence before each recording and after the last."""
        drawn = rng.uniform(*self.composer.params.gap, size=recordings + 1) / self.composer.frame
        return tuple(round(gap) for gap in drawn)

    def spot(self, split: str, rng: np.random.Generator, size: Spot, augment: bool) -> Utterance:
        """Digits with whole prompts before, between and after them; a digit may come again."""
        values = self.needles.values

        def draw() -> list[int]:
            chosen = rng.integers(len(values), size=size.digits)
            return [int(rng.choice(self.said[values[i]])) for i in chosen]

        needles = self.of_split(split, draw)
        places = rng.integers(size.digits + 1, size=size.prompts)
        chosen: list[int] = []
        for place in range(size.digits + 1):
            chosen += [int(i) for i in rng.choice(self.prompts[split], (places == place).sum())]
            chosen += needles[place : place + 1]
        gaps = self.gaps(rng, len(chosen))
        return self.utterance("spot", needles, needles, chosen, gaps, rng, augment)

    def string(self, split: str, rng: np.random.Generator, words: int, augment: bool) -> Utterance:
        """`words` different keys and digits in any order: to be written whole or, in the share
        `asked` of the strings of two or more, asked word by word what follows, as `recall` asks.
        """
        needles = self.of_split(split, lambda: self.drawn(rng, tuple(sorted(self.said)), words))
        gaps = self.gaps(rng, words)
        if words == 1 or rng.random() >= self.params.asked:
            return self.utterance("words", needles, needles, needles, gaps, rng, augment)
        asked = [int(place) for place in rng.permutation(words - 1)]
        return self.asked(needles, asked, needles, gaps, rng, augment)

    def asked(
        self,
        needles: list[int],
        asked: list[int],  # places in `needles`
        chosen: list[int],
        gaps: tuple[int, ...],
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
            "recall", needles, answers, chosen, gaps, rng, augment,
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
                if word.text in self.needles.words
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

    def utterance(self, task, needles, answer, chosen, gaps, rng, augment, **prompt) -> Utterance:
        composer = self.composer
        recordings = composer.store.recordings
        return composer.vary(
            task,
            f"{self.text(chosen)} → {self.text(answer)}",
            composer.params.language,
            self.text(answer),
            prompt.pop("tokens", tuple(t for i in answer for t in recordings[i].tokens)),
            tuple(chosen),
            gaps,
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
                shares = np.array(list(params.fillers.values()))
                filler = str(rng.choice(list(params.fillers), p=shares / shares.sum()))
                counts = {name: size(getattr(params, name)) for name in ("pairs", "words")}
                lone = {"digits": size(params.lone_digits), "keys": size(params.lone_keys)}
                return self.recall("train", rng, Recall(filler=filler, **counts, **lone), True)
            case "spot":
                wanted = Spot(digits=size(params.digits), prompts=size(params.prompts))
                return self.spot("train", rng, wanted, augment=True)
        raise UserError(
            f"params.yaml: seek.mixture: unknown task {task!r}; choose from words, recall, spot"
        )

    def evaluation(self, split: str, size: Size, limit: int) -> list[Utterance]:
        """`limit` utterances of one size: always the same, unaugmented.

        With another filler they are the same but for it.
        """
        places = TASKS.index(size.task), ("dev", "test").index(split)
        rng = np.random.default_rng([EDITION, *places, *size.drawn])
        return [getattr(self, size.task)(split, rng, size, augment=False) for _ in range(limit)]
