"""Where attention looks against length, and the schedule that keeps its entropy where it was.

Shape alphabet: R resamples plus one, in front, that is the data as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from focused_attention.verdicts.dealt import Prompts, drawn_of, numbers, prompts_of
from focused_attention.verdicts.hearing import Curve, estimate, whole
from focused_attention.verdicts.hidden_keys import as_heard
from focused_attention.verdicts.lengths import slope

MEASURES = (
    "entropy", "share", "support", "first", "last", "between", "after", "own", "near",
)  # fmt: skip
POSITION = 20  # ms
GROWING = ("unpadded", "keys")  # conditions in which keys grow
BOUND = 1e-3  # nats by which a loss may differ from stage listen's


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Recordings that were heard in one way: rows of whole slots and of heads."""

    condition: str
    length: float
    silence: float
    keys: float
    rows: tuple[Mapping[str, str], ...]
    prompts: Prompts  # of as many recordings as were looked at

    def drawn(self, name: str, resamples: int, slot: str = "cross", heat: float = 1.0):
        """The mean of a measure over recordings, (R,)."""
        (row,) = (r for r in self.slots(slot) if float(r["temperature"]) == heat)
        return drawn_of(self.prompts, resamples, self.length) @ numbers(row, name)

    def slots(self, slot: str) -> Iterator[Mapping[str, str]]:
        return (row for row in self.rows if (row["slot"], row["head"]) == (slot, "all"))

    @property
    def temperatures(self) -> tuple[float, ...]:
        return tuple(sorted(float(row["temperature"]) for row in self.slots("cross")))


def read(rows: Sequence[Mapping[str, str]]) -> list[Heard]:
    """The cells of the trial in the order of conditions, lengths and silences."""
    prompts = prompts_of(rows)
    cells: dict[tuple, list[Mapping[str, str]]] = {}
    for row in rows:
        key = row["condition"], *(float(row[name]) for name in ("length", "silence", "keys"))
        cells.setdefault(key, []).append(row)
    found = []
    for (condition, length, silence, keys), of_cell in cells.items():
        n = int(of_cell[0]["recordings"])
        found.append(
            Heard(
                condition=condition,
                length=length,
                silence=silence,
                keys=keys,
                rows=tuple(of_cell),
                prompts=prompts[length][:n],
            )
        )
    return sorted(found, key=lambda cell: (cell.condition, cell.length, cell.keys))


def table(
    model: str, rows: list[dict[str, str]], *, resamples: int, confidence: float
) -> list[dict]:
    """A row for every cell, slot and temperature, with intervals, and for every head, without.

    Entropy in nats, support in positions (in tokens in the decoder's self-attention) and, for
    sound, in ms; `silence` is what lies between prompts and after them.
    """
    found = []
    for cell in read(rows):
        about = {"model": model, "condition": cell.condition, "length": cell.length}
        about |= {"silence_after": cell.silence, "keys": cell.keys}
        for row in cell.rows:
            said = about | {name: row[name] for name in ("slot", "layer", "head")}
            said |= {"temperature": float(row["temperature"]), "recordings": row["recordings"]}
            for name in (*MEASURES, "silence"):
                if row["head"] == "all":
                    said |= bounded(cell, row, name, resamples, confidence)
                else:
                    said |= empty(name) | {name: single(row, name)}
            sound = said["support"] != "" and row["slot"] != "decoder"
            found.append(said | {"support_ms": POSITION * said["support"] if sound else ""})
    return found


def bounded(
    cell: Heard, row: Mapping[str, str], name: str, resamples: int, confidence: float
) -> dict[str, object]:
    """A measure with its interval; nothing where it was not taken."""
    if single(row, name) == "":
        return empty(name)
    weights = drawn_of(cell.prompts, resamples, cell.length)
    return estimate(weights @ values(row, name), confidence, name)


def empty(name: str) -> dict[str, object]:
    return {name: "", f"{name}_low": "", f"{name}_high": ""}


def values(row: Mapping[str, str], name: str) -> np.ndarray:
    """A measure of each recording of a row, or of its head: (n,) or (1,)."""
    if name == "silence":
        between, after = numbers(row, "between"), numbers(row, "after")
        return between + after
    return numbers(row, name)


def single(row: Mapping[str, str], name: str) -> float | str:
    found = values(row, name)
    return float(found.mean()) if found.size else ""


def slopes(
    model: str, rows: list[dict[str, str]], *, resamples: int, confidence: float
) -> list[dict]:
    """By how much each measure grows an octave of keys, where keys grow."""
    found, cells = [], read(rows)
    for condition in GROWING:
        chosen = [cell for cell in cells if cell.condition == condition]
        keys = [cell.keys for cell in chosen]
        if len(set(keys)) < 3:
            continue
        for slot in ("cross", "encoder", "uniform"):
            about = {"model": model, "slot": slot, "condition": condition}
            about |= {"fewest": min(keys), "most": max(keys)}
            for name in MEASURES:
                drawn = np.stack([c.drawn(name, resamples, slot) for c in chosen], axis=-1)
                row = about | {"of": name}
                found.append(row | estimate(slope(keys, drawn), confidence, "slope"))
    return found


def heads(model: str, rows: list[dict[str, str]]) -> list[dict]:
    """Each head of cross-attention with the fewest and the most keys of `keys`, those first whose
    mass on silence grows most; means of recordings, without intervals."""
    chosen = [cell for cell in read(rows) if cell.condition == "keys"]
    if not chosen:
        return []
    ends = {"fewest": chosen[0], "most": chosen[-1]}
    found: dict[tuple[str, str], dict] = {}
    for side, cell in ends.items():
        for row in cell.rows:
            if row["slot"] != "cross" or row["head"] == "all":
                continue
            said = found.setdefault((row["layer"], row["head"]), {
                "model": model, "layer": row["layer"], "head": row["head"],
            })  # fmt: skip
            for name in ("silence", "entropy", "share", "own"):
                said[f"{name}_{side}"] = single(row, name)
    for said in found.values():
        said["gained"] = said["silence_most"] - said["silence_fewest"]
    return sorted(found.values(), key=lambda said: -said["gained"])


def meets(temperatures: Sequence[float], curves: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """log2 of the T at which curves (..., temperatures) first reach a goal (...), by lines.

    No farther than the temperatures.

    >>> float(meets([0.5, 1.0, 2.0], np.array([1.0, 2.0, 4.0]), np.array(3.0)))
    0.5
    """
    x, y = np.log2(np.asarray(temperatures)), curves - np.asarray(goal)[..., None]
    found = np.where(y[..., 0] >= 0, x[0], x[-1])
    for i in range(len(x) - 1, 0, -1):
        crosses = (y[..., i - 1] < 0) & (y[..., i] >= 0)
        climb = np.where(crosses, y[..., i] - y[..., i - 1], 1.0)
        found = np.where(crosses, x[i - 1] - y[..., i - 1] / climb * (x[i] - x[i - 1]), found)
    return found


def matched(
    model: str,
    rows: list[dict[str, str]],
    heard: Sequence[Curve] = (),
    *,
    resamples: int,
    confidence: float,
) -> list[dict]:
    """A row for every cell: the T at which the mean entropy of cross-attention's rows is that of
    the condition's shortest at 1, and the loss there less that at 1, in all recordings of `heard`.

    The loss is read at T as it was found; its interval does not hold that of T.
    """
    found, first = [], {}
    curves = {
        (c.condition, c.length, c.silence): c for c in whole(heard)
        if (c.model, c.slot) == (model, "cross")
    }  # fmt: skip
    for cell in read(rows):
        goal = first.setdefault(cell.condition, cell.drawn("entropy", resamples))
        heats = cell.temperatures
        drawn = [cell.drawn("entropy", resamples, heat=value) for value in heats]
        logs = meets(heats, np.stack(drawn, axis=-1), goal)
        row = {"model": model, "schedule": "entropy", "condition": cell.condition}
        row |= {"length": cell.length, "silence": cell.silence, "keys": cell.keys}
        row |= estimate(2**logs, confidence, "temperature")
        curve = curves.get((cell.condition, cell.length, cell.silence))
        value = 2 ** float(logs[0])
        change = estimate(curve.over(value), confidence, "change") if curve else empty("change")
        found.append(row | change)
    return found


def check(model: str, rows: list[dict[str, str]], heard: Sequence[Curve]) -> dict[str, object]:
    """Whether every loss that was found on the way is stage listen's: {holds, largest, bound}."""
    ours = [curve_of(model, cell) for cell in read(rows)]
    checked = [as_heard([c], [h for h in heard if h.condition == c.condition], (c.condition,),
                        BOUND) for c in ours]  # fmt: skip
    if any(one["largest"] is None for one in checked):
        return {"holds": False, "largest": None, "bound": BOUND}
    return max(checked, key=lambda one: one["largest"])


def curve_of(model: str, cell: Heard) -> Curve:
    """The losses of a cell as stage listen has them."""
    found = sorted(cell.slots("cross"), key=lambda row: float(row["temperature"]))
    return Curve(
        model=model, slot="cross", layer="all", technique="none", condition=cell.condition,
        length=cell.length, silence=cell.silence, keys=cell.keys, temperatures=cell.temperatures,
        losses=np.stack([numbers(row, "losses") for row in found], axis=1),
        prompts=cell.prompts, resamples=1,
    )  # fmt: skip
