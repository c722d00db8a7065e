"""What stage listen left, as curves of loss against temperature, and what is read off them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from focused_attention.verdicts.lengths import at, best, slope, tolerated, weights_of
from focused_attention.verdicts.statistics import interval

WINDOW = 30.0  # seconds, to which Whisper was trained
TRAINED = 1500  # keys of that
SLOTS = ("cross", "encoder", "decoder")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Losses of the same recordings, heard in one way, at several temperatures."""

    model: str
    slot: str
    layer: str  # all, or the one that is heated
    technique: str  # none, or what else is done
    condition: str
    length: float  # seconds
    silence: float
    keys: float
    temperatures: tuple[float, ...]
    losses: np.ndarray  # (recordings, temperatures), nats a token
    prompts: tuple[tuple[str, ...], ...]  # of each recording
    resamples: int

    @cached_property
    def drawn(self) -> np.ndarray:
        """Mean loss at every temperature, (resamples + 1, temperatures); first the data as are.

        Recordings of one length are drawn alike in all conditions, which pairs them.
        """
        seed = round(1000 * self.length)
        return weights_of(self.prompts, self.resamples, seed) @ self.losses

    def over(self, value: float) -> np.ndarray:
        """The loss at a temperature less that at 1, (resamples + 1,)."""
        return at(self.temperatures, self.drawn, value) - at(self.temperatures, self.drawn, 1.0)

    @property
    def about(self) -> dict:
        names = ("model", "slot", "layer", "technique", "condition", "length", "silence", "keys")
        return {name: getattr(self, name) for name in names}


def curves(
    model: str, slot: str, rows: Iterable[Mapping], held: Iterable[Mapping], resamples: int
) -> list[Curve]:
    """The curves of a model and slot from the rows of its two files."""
    prompts: dict[float, list[tuple[str, ...]]] = {}
    for row in held:
        prompts.setdefault(float(row["length"]), []).append(tuple(row["prompts"].split()))
    cells: dict[tuple, dict[float, np.ndarray]] = {}
    for row in rows:
        names = ("layer", "technique", "condition", "length", "silence", "keys")
        cell = cells.setdefault(tuple(row[name] for name in names), {})
        cell[float(row["temperature"])] = np.array(row["losses"].split(), dtype=float)
    found = []
    for (layer, technique, condition, *sizes), cell in cells.items():
        length, silence, keys = map(float, sizes)
        temperatures = tuple(sorted(cell))
        losses = np.stack([cell[value] for value in temperatures], axis=1)
        found.append(
            Curve(
                model=model,
                slot=slot,
                layer=layer,
                technique=technique,
                condition=condition,
                length=length,
                silence=silence,
                keys=keys,
                temperatures=temperatures,
                losses=losses,
                prompts=tuple(prompts[length][: len(losses)]),
                resamples=resamples,
            )
        )
    return found


def estimate(drawn: np.ndarray, confidence: float, prefix: str = "") -> dict[str, float]:
    """An estimate and its interval from resamples, the first of which is the data as they are."""
    low, high = interval(drawn[1:], confidence)
    name = prefix or "estimate"
    stem = f"{prefix}_" if prefix else ""
    return {name: float(drawn[0]), f"{stem}low": low, f"{stem}high": high}


def losses(found: Sequence[Curve], confidence: float) -> list[dict]:
    """A row for every curve and temperature: the loss, and its difference to that at 1."""
    rows = []
    for curve in found:
        for i, value in enumerate(curve.temperatures):
            row = curve.about | {"temperature": value, "recordings": len(curve.losses)}
            row |= estimate(curve.drawn[:, i], confidence, "loss")
            rows.append(row | estimate(curve.over(value), confidence, "change"))
    return rows


def whole(found: Sequence[Curve]) -> list[Curve]:
    """The curves of whole slots to which nothing else is done."""
    conditions = ("padded", "unpadded", "keys")
    return [
        c for c in found if (c.layer, c.technique) == ("all", "none") and c.condition in conditions
    ]


READ = {  # what is read off a curve: log2 of a temperature
    "best": best,
    "softest": lambda t, losses: tolerated(t, losses, softer=True),
    "sharpest": lambda t, losses: tolerated(t, losses, softer=False),
    # not planned: by other forms, and by a whole nat
    "best_cubic": lambda t, losses: best(t, losses, degree=3),
    "best_middle": lambda t, losses: best(t, losses, around=(0.84, 1.19)),
    "softest_nat": lambda t, losses: tolerated(t, losses, softer=True, rise=1.0),
}


def optima(found: Sequence[Curve], confidence: float) -> list[dict]:
    """A row for every curve of a whole slot: best and tolerated temperatures."""
    rows = []
    for curve in whole(found):
        row = curve.about | {"recordings": len(curve.losses)}
        for name, read in READ.items():
            row |= estimate(2 ** read(curve.temperatures, curve.drawn), confidence, name)
        rows.append(row)
    return rows


def moved(found: Sequence[Curve], condition: str, name: str) -> np.ndarray:
    """Slope of log2 of what is read off against log2 of the keys, (resamples + 1,)."""
    chosen = sorted((c for c in whole(found) if c.condition == condition), key=lambda c: c.keys)
    read = np.stack([READ[name](c.temperatures, c.drawn) for c in chosen], axis=-1)
    return slope([c.keys for c in chosen], read)


def slopes(found: Sequence[Curve], confidence: float) -> list[dict]:
    """A row for each slot, condition in which keys grow, and thing read off, and schedules'."""
    rows = []
    for condition in ("unpadded", "keys"):
        chosen = [c for c in whole(found) if c.condition == condition]
        keys = sorted({c.keys for c in chosen})
        if len(keys) < 3:
            continue
        about = {"model": chosen[0].model, "slot": chosen[0].slot, "condition": condition}
        about |= {"fewest": keys[0], "most": keys[-1]}
        for name in READ:
            drawn = moved(found, condition, name)
            rows.append(about | {"of": name} | estimate(drawn, confidence, "slope"))
        for name in ("sqrt-log", "log"):
            logs = np.log2([scheduled(name, n, 0.0) for n in keys])
            foretold = float(slope(keys, logs))
            rows.append(about | {"of": name, "slope": foretold, "slope_low": "", "slope_high": ""})
    return rows


def scheduled(name: str, keys: float, seconds: float) -> float:
    """The temperature of a schedule for so many keys, of which so many seconds are speech.

    The span of the published lines is taken as the share of the window that is speech.
    """
    share = seconds / WINDOW
    match name:
        case "published-true":
            return 1.0 + 0.01 * (1.0 - share)
        case "published-false":
            return 0.5 + 0.01 * share
        case "sqrt-log":
            return float(np.sqrt(np.log(TRAINED) / np.log(keys)))
        case "log":
            return float(np.log(TRAINED) / np.log(keys))
    raise ValueError(f"schedule: unknown {name!r}")


SCHEDULES = ("published-true", "published-false", "sqrt-log", "log")


def schedules(found: Sequence[Curve], confidence: float) -> list[dict]:
    """A row for every schedule and curve of cross-attention: its loss less that at 1."""
    rows = []
    for curve in whole(found):
        if curve.slot != "cross":
            continue
        for name in SCHEDULES:
            value = scheduled(name, curve.keys, curve.length)
            row = curve.about | {"schedule": name, "temperature": value}
            rows.append(row | estimate(curve.over(value), confidence, "change"))
    return rows


def spared(found: Sequence[Curve], confidence: float) -> list[dict]:
    """What each technique costs at every temperature, against the untouched model on the same
    recordings; `none` is the model heated alone."""
    rows = []
    for curve in found:
        if curve.technique == "none":
            continue
        plain = next(
            c for c in whole(found)
            if (c.condition, c.length, c.silence) == (curve.condition, curve.length, curve.silence)
        )  # fmt: skip
        n = len(curve.losses)
        weights = weights_of(curve.prompts, curve.resamples, round(1000 * curve.length))
        one = plain.losses[:n, plain.temperatures.index(1.0)]
        for i, value in enumerate(curve.temperatures):
            heated = plain.losses[:n, plain.temperatures.index(value)]
            about = {"model": curve.model, "temperature": value, "recordings": n}
            for technique, ours in ((curve.technique, curve.losses[:, i]), ("none", heated)):
                row = about | {"technique": technique}
                row |= estimate(weights @ (ours - one), confidence, "cost")
                if row not in rows:
                    rows.append(row)
    return rows
