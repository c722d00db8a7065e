"""W4: what is written where nobody speaks, from the rows of trials/non_speech.py.

Intervals are over sources within kinds: a resample draws as many sources of a kind as there are,
with all their clips, and a kind always counts as many clips as it has. What speech costs is over
recordings and, independently, the prompts that they share.

Shape alphabet: R resamples and, in front, the data as they are; n clips.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from focused_attention.verdicts.hearing import estimate
from focused_attention.verdicts.lengths import weights_of
from focused_attention.verdicts.statistics import resampled_weights

SHARP = 0.71
SILENT, UNSURE = 0.6, -1.0  # OpenAI's rule: `no_speech` above, and a mean log-probability at most
CLOSE = 0.001  # nats a token that the costs of the same speech may differ between stages
POOLED = "both"  # each clip without the heads that the half it is not in has chosen
STATES = ("slot", "temperature", "heads", "chosen", "times")
MEANS = ("share", "kept", "loops", "words")  # over clips, of what is in `Heard.outcomes`


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was written about every clip, and what speech cost, with one thing done to the model."""

    slot: str
    temperature: float
    heads: str  # that are masked, as layer.head
    chosen: str  # the half of the clips that chose them
    times: str  # yes or no: whether they are written
    kinds: np.ndarray  # (n,)
    sources: np.ndarray  # (n,)
    half: np.ndarray  # (n,)
    words: np.ndarray  # (n,)
    no_speech: np.ndarray  # (n,)
    scores: np.ndarray  # (n,)
    loops: np.ndarray  # (n,)
    losses: np.ndarray  # of the recordings of speech, nats a token
    prompts: tuple[tuple[str, ...], ...]  # of those

    @property
    def outcomes(self) -> dict[str, np.ndarray]:
        """Of every clip, (n,): whether it has a word, also by OpenAI's rule; loops; its words."""
        word = self.words > 0
        silenced = (self.no_speech > SILENT) & (self.scores <= UNSURE)
        found = {"share": word, "kept": word & ~silenced, "loops": self.loops, "words": self.words}
        return {name: of.astype(float) for name, of in found.items()}


class MissingError(Exception):
    """What a comparison needs was not run."""


def read(rows: Iterable[Mapping]) -> list[Heard]:
    """The cells of a trial's rows, in their order."""
    cells: dict[tuple, list[Mapping]] = {}
    for row in rows:
        cells.setdefault(tuple(str(row[name]) for name in STATES), []).append(row)
    found = []
    for (slot, temperature, heads, chosen, times), of_cell in cells.items():
        silent = [row for row in of_cell if row["kind"] != "speech"]
        (told,) = (row for row in of_cell if row["kind"] == "speech")

        def joined(name: str, kind: type = float, silent=silent) -> np.ndarray:
            return np.array([value for row in silent for value in row[name].split()], kind)

        sizes = [int(row["n"]) for row in silent]
        found.append(
            Heard(
                slot=slot,
                temperature=float(temperature),
                heads=heads,
                chosen=chosen,
                times=times,
                kinds=np.repeat([row["kind"] for row in silent], sizes),
                sources=joined("sources", str),
                half=joined("half", int),
                words=joined("words", int),
                no_speech=joined("no_speech"),
                scores=joined("scores"),
                loops=joined("loops", int),
                losses=np.array(told["losses"].split(), float),
                prompts=tuple(tuple(of.split(",")) for of in told["prompts"].split()),
            )
        )
    return found


def draws(kinds: np.ndarray, sources: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    """Weights of clips (R, n), summing to 1: sources are drawn within kinds."""
    weights = np.ones((resamples + 1, len(kinds)))
    for place, kind in enumerate(sorted(set(kinds.tolist()))):
        of_kind = np.flatnonzero(kinds == kind)
        names, source = np.unique(sources[of_kind], return_inverse=True)
        drawn = resampled_weights(len(names), resamples, seed + place)[:, source].astype(float)
        weights[1:, of_kind] = drawn * len(of_kind) / drawn.sum(axis=1, keepdims=True)
    return weights / len(kinds)


def untouched(found: Sequence[Heard], times: str = "yes") -> Heard:
    """Raises MissingError where the untouched model was not asked."""
    return one(found, temperature=1.0, heads="", times=times)


def one(found: Sequence[Heard], **about) -> Heard:
    """The cell with these properties. Raises MissingError where there is none."""
    for cell in found:
        if all(getattr(cell, name) == value for name, value in about.items()):
            return cell
    raise MissingError(f"not run: {', '.join(str(value) for value in about.values() if value)}")


def primary(rows: Iterable[Mapping], resamples: int) -> tuple[np.ndarray, int]:
    """Share of clips with a word, cross-attention at SHARP less 1, in points (R,); clips.

    Raises MissingError where either was not run.
    """
    found = read(rows)
    plain = untouched(found)
    sharp = one(found, slot="cross", temperature=SHARP, heads="", times="yes")
    change = sharp.outcomes["share"] - plain.outcomes["share"]
    return 100 * (draws(plain.kinds, plain.sources, resamples) @ change), len(change)


def agrees(rows: Iterable[Mapping], listened: Iterable[Mapping]) -> dict:
    """The check that speech costs here what stage listen found, at 1 and SHARP; it guards W4.

    `listened` are that stage's rows of cross-attention.
    """
    found, off = read(rows), []
    for value in (SHARP, 1.0):
        here = one(found, slot="cross", temperature=value, heads="", times="yes").losses
        there = [
            np.array(row["losses"].split(), float)
            for row in listened
            if (row["condition"], row["layer"], row["technique"]) == ("padded", "all", "none")
            and (float(row["length"]), float(row["temperature"])) == (29.0, value)
        ]
        if not there:
            raise MissingError(f"not run: listen, 29 s, {value:g}")
        off.append(float(np.abs(there[0][: len(here)] - here).max()))
    return {"holds": max(off) <= CLOSE, "off": max(off), "guards": ["W4"]}


def table(model: str, rows: Iterable[Mapping], *, resamples: int, confidence: float) -> list[dict]:
    """A row for every cell and kind of clip, and for all kinds: means, and against untouched.

    `share` of the clips have a word, and `kept` after OpenAI's rule of silence; `loops` repeat.
    `stopped` is the part of the clips with a word that have none any more, empty where a resample
    has no such clip; `cost` what speech costs more, nats a token, for all kinds only. Heads that a
    half chose are judged on the other; with POOLED, on both.
    """
    found = read(rows)
    judged = [(cell, cell.outcomes, elsewhere(cell)) for cell in found]
    pair = [cell for cell in found if cell.chosen]
    if len(pair) == 2:
        judged.append(pooled(*pair))
    weights: dict[bytes, np.ndarray] = {}
    done = []
    for cell, outcomes, judges in judged:
        plain = untouched(found, cell.times)
        for kind in ["all", *dict.fromkeys(cell.kinds.tolist())]:
            of = judges & ((cell.kinds == kind) | (kind == "all"))
            if not of.any():
                continue
            if of.tobytes() not in weights:
                weights[of.tobytes()] = draws(cell.kinds[of], cell.sources[of], resamples)
            row = {"model": model} | {name: getattr(cell, name) for name in STATES}
            row |= {"kind": kind, "n": int(of.sum())}
            here, there = ({k: v[of] for k, v in o.items()} for o in (outcomes, plain.outcomes))
            row |= compared(here, there, weights[of.tobytes()], confidence)
            done.append(row | cost(cell, plain, kind, resamples, confidence))
    return done


def elsewhere(cell: Heard) -> np.ndarray:
    """The clips that judge a cell, (n,) bool: all, or those that did not choose its heads."""
    return cell.half != int(cell.chosen) if cell.chosen else np.ones(len(cell.half), bool)


def pooled(first: Heard, second: Heard) -> tuple[Heard, dict[str, np.ndarray], np.ndarray]:
    """Every clip without the heads that its half has not chosen; speech costs the mean of both."""
    own = elsewhere(first)
    both = replace(
        first,
        heads=f"{first.heads} / {second.heads}",
        chosen=POOLED,
        losses=(first.losses + second.losses) / 2,
    )
    sides = first.outcomes, second.outcomes
    outcomes = {name: np.where(own, sides[0][name], sides[1][name]) for name in MEANS}
    return both, outcomes, np.ones(len(own), bool)


def compared(
    here: dict[str, np.ndarray],
    plain: dict[str, np.ndarray],
    weights: np.ndarray,
    confidence: float,
) -> dict:
    """Means over clips and their changes, and the part of the clips with a word that stop."""
    row = {}
    for name in MEANS:
        row |= estimate(weights @ here[name], confidence, name)
        row |= estimate(weights @ (here[name] - plain[name]), confidence, f"{name}_change")
    there = weights @ plain["share"]
    if (there == 0).any():
        return row | dict.fromkeys(("stopped", "stopped_low", "stopped_high"), "")
    return row | estimate(
        weights @ (plain["share"] * (1 - here["share"])) / there, confidence, "stopped"
    )


def cost(cell: Heard, plain: Heard, kind: str, resamples: int, confidence: float) -> dict:
    """What the same speech costs more than it costs the untouched model, nats a token."""
    if kind != "all":
        return dict.fromkeys(("cost", "cost_low", "cost_high"), "")
    drawn = weights_of(cell.prompts, resamples)
    return estimate(drawn @ (cell.losses - plain.losses), confidence, "cost")
