"""W6: what heating cross-attention does in other languages than English.

Of the rows of trials/languages.py. Losses are nats a token; rates of errors are in per cent of the
words or characters of the text, BLEU and chrF on their scale of 100. Recordings of a language, and
independently its prompts, are drawn as in lengths.py; languages are fixed and each has draws of its
own. Shape alphabet: N recordings of a language, R resamples plus one, in front, that is the data as
they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from focused_attention.verdicts.hearing import estimate
from focused_attention.verdicts.lengths import weights_of
from focused_attention.verdicts.statistics import interval
from focused_attention.verdicts.translations import bleu, chrf

CORPUS = "asterisk"  # whose languages W6 is about
MEAN = "mean"  # of the corpus' languages, each with the same weight
SHARP = 0.71
COST = 1.0  # nats a token that another recording's text must cost more, at least
SURE = 0.99
WRONG = {  # rates: which columns are errors, and of what
    "wer": (("substitutions", "deletions", "insertions"), "words"),
    "substitutions": (("substitutions",), "words"),
    "deletions": (("deletions",), "words"),
    "insertions": (("insertions",), "words"),
    "cer": (("character_errors",), "characters"),
}

Draws = dict[float, np.ndarray]  # by temperature: (R,)


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """The rows of a language, by kind and temperature."""

    corpus: str
    language: str
    cells: Mapping[tuple[str, float], Mapping[str, str]]
    resamples: int
    seed: int

    def weights(self, count: int) -> np.ndarray:
        """Weights of the first recordings in every resample, (R, count), of 1 on average."""
        held = self.cells["recordings", 1.0]["prompts"].split()[:count]
        prompts = [tuple(keys.split(",")) for keys in held]
        return count * weights_of(prompts, self.resamples, self.seed)

    def of(self, kind: str) -> dict[float, Mapping[str, str]]:
        """The rows of a kind by temperature."""
        return {value: row for (name, value), row in self.cells.items() if name == kind}

    def count(self, kind: str) -> int:
        return max((int(row["recordings"]) for row in self.of(kind).values()), default=0)

    def losses(self, kind: str = "losses") -> Draws:
        found = {}
        for value, row in self.of(kind).items():
            losses = numbers(row, "losses")
            found[value] = self.weights(len(losses)) @ losses / len(losses)
        return found

    def rates(self) -> dict[str, Draws]:
        """Rates of errors of what is written, by name."""
        weights = self.weights(self.count("transcribe"))
        found: dict[str, Draws] = {name: {} for name in WRONG}
        for value, row in self.of("transcribe").items():
            for name, (columns, units) in WRONG.items():
                wrong = sum(numbers(row, column) for column in columns)
                found[name][value] = 100 * (weights @ wrong) / (weights @ numbers(row, units))
        return found

    def translations(self) -> dict[str, Draws]:
        """BLEU and chrF of what is translated."""
        weights = self.weights(self.count("translate"))
        found: dict[str, Draws] = {"bleu": {}, "chrf": {}}
        for value, row in self.of("translate").items():
            found["bleu"][value] = bleu(counts(row, "bleu"), weights)
            found["chrf"][value] = chrf(counts(row, "chrf"), weights)
        return found

    @cached_property
    def measures(self) -> dict[str, Draws]:
        """Everything that was measured, by name."""
        found = {"loss": self.losses()}
        if exchanged := self.losses("exchanged"):
            found["exchanged"] = {1.0: exchanged[1.0] - found["loss"][1.0]}
        if self.of("transcribe"):
            found |= self.rates()
        return found | (self.translations() if self.of("translate") else {})


KINDS = {"loss": "losses", "exchanged": "exchanged", "bleu": "translate", "chrf": "translate"}


def numbers(row: Mapping[str, str], column: str) -> np.ndarray:
    return np.array(row[column].split(), dtype=float)


def counts(row: Mapping[str, str], column: str) -> np.ndarray:
    """What each recording was counted to have: (N, counts)."""
    return np.array([own.split(",") for own in row[column].split()], dtype=float)


def read(rows: Sequence[Mapping[str, str]], resamples: int) -> list[Spoken]:
    """The languages of the trial's rows, in their order."""
    cells: dict[tuple[str, str], dict] = {}
    for row in rows:
        of = cells.setdefault((row["corpus"], row["language"]), {})
        of[row["kind"], float(row["temperature"])] = row
    return [
        Spoken(corpus=corpus, language=name, cells=of, resamples=resamples, seed=10 * place)
        for place, ((corpus, name), of) in enumerate(cells.items())
    ]


def primary(rows: Sequence[Mapping[str, str]], resamples: int) -> tuple[np.ndarray, int]:
    """The loss at 0.71 less that at 1, mean of the languages: (R,), and how many recordings.

    Raises ValueError where a language lacks one of the two.
    """
    found = [one for one in read(rows, resamples) if one.corpus == CORPUS]
    changes = []
    for one in found:
        losses = one.losses()
        if not {SHARP, 1.0} <= losses.keys():
            raise ValueError(f"languages: no losses of {one.language} at {SHARP} and 1")
        changes.append(losses[SHARP] - losses[1.0])
    if not found:
        raise ValueError(f"languages: no rows of {CORPUS}")
    return np.mean(changes, axis=0), sum(one.count("losses") for one in found)


def check(rows: Sequence[Mapping[str, str]], resamples: int) -> dict:
    """Whether another recording's text costs enough more than the own one, in every language."""
    lows, costs = {}, {}
    for one in read(rows, resamples):
        drawn = one.measures["exchanged"][1.0]
        costs[one.language] = float(drawn[0])
        lows[one.language] = interval(drawn[1:], SURE)[0]
    least = min(lows, key=lows.get)
    return {
        "holds": lows[least] > COST, "bound": COST, "least": least, "cost": costs[least],
        "low": lows[least], "guards": ["W6"],
    }  # fmt: skip


def table(
    model: str, rows: Sequence[Mapping[str, str]], *, resamples: int, confidence: float
) -> list[dict]:
    """A row for every language, measure and temperature, and for the mean of Asterisk's languages.

    With the change from temperature 1; `exchanged` is what another text costs more.
    """
    found = read(rows, resamples)
    told = []
    for one in found:
        about = {"model": model, "corpus": one.corpus, "language": one.language}
        for name, drawn in one.measures.items():
            count = one.count(KINDS.get(name, "transcribe"))
            told += estimates(about | {"measure": name}, drawn, count, confidence)
    several = [one for one in found if one.corpus == CORPUS]
    names = dict.fromkeys(name for one in several for name in one.measures)
    for name in names if len(several) > 1 else ():
        having = [one for one in several if name in one.measures]
        drawn = {
            value: np.mean([one.measures[name][value] for one in having], axis=0)
            for value in having[0].measures[name]
        }
        about = {"model": model, "corpus": CORPUS, "language": MEAN, "measure": name}
        count = sum(one.count(KINDS.get(name, "transcribe")) for one in having)
        told += estimates(about, drawn, count, confidence)
    return told


def estimates(about: dict, drawn: Draws, recordings: int, confidence: float) -> list[dict]:
    """A row for every temperature: the estimate, and its change from 1."""
    return [
        about | {"temperature": value, "recordings": recordings}
        | estimate(ours, confidence)
        | estimate(ours - drawn[1.0], confidence, "change")
        for value, ours in sorted(drawn.items())
    ]  # fmt: skip
