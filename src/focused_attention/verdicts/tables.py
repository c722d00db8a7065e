"""What trained arms answered, as tidy tables."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from focused_attention.verdicts.evidence import Evidence, Options
from focused_attention.verdicts.findings import Rows
from focused_attention.verdicts.lengths import lowest, slope, tolerated
from focused_attention.verdicts.replies import KINDS, Asked, Place, Replies, held, kinds
from focused_attention.verdicts.statistics import bootstrap, interval, intervals

LEARNED = 0.9  # share of dev values recalled at which a seed has learned
TRANSITION = 0.5  # and at which it has begun to
ODDS = 0.5  # by which log-odds may fall: odds by two in five
RATE = (
    "seeds", "utterances", "rate", "low", "high", "difference", "difference_low", "difference_high",
)  # fmt: skip
PLACE = ("hay", "seconds", "filler", "slot", "temperature")
COLUMNS = {
    "answers": ("arm", *PLACE, "measure", *RATE),
    "pruning": ("arm", *PLACE, "top_k", "measure", *RATE),
    "slopes": (
        "arm", "filler", "quantity", "seeds", "utterances", "hay", "seconds", "octaves", "low",
        "high", "edge", "cut",
    ),
    "spotting": ("arm", "hay", "temperature", "measure", *RATE),
    "entropy-length": (
        "arm", "filler", "slot", "metric", "temperature", "hay", "seconds", "seeds", "mean", "low",
        "high", "collapsed_heads", "one_hot_heads", "heads",
    ),
    "learning": (
        "arm", "seed", "steps", "transition_step", "recall", "recall_short", "spot", "learned",
    ),
    "temperatures": ("arm", "seed", "slot", "layer", "head", "temperature", "slope"),
}  # fmt: skip


def measured(replies: Replies, known: Asked) -> Iterator[tuple[str, np.ndarray]]:
    """Every measure of the answers at a place, (seeds, n): shares, and nats."""
    yield "bound", replies.bound
    told = kinds(replies.written, known)
    for kind, name in enumerate(KINDS):
        yield name, told == kind
    yield "nats", replies.nats


def answers(
    arm: str, cells: Mapping[Place, Replies], asked: Mapping, options: Options
) -> list[dict]:
    """Every measure at every place, and its paired difference from temperature 1."""
    rows = []
    for place, replies in cells.items():
        if place.split != "test":
            continue
        known = held(asked, place)
        base = dict(measured(cells[place._replace(temperature=1.0)], known))
        about = {name: getattr(place, name) for name in ("hay", "filler", "slot", "temperature")}
        about |= {"arm": arm, "seconds": known.seconds, "top_k": place.top_k or ""}
        rows += [
            about | {"measure": name} | contrast(values, base[name], options)
            for name, values in measured(replies, known)
        ]
    return rows


def contrast(values: np.ndarray, base: np.ndarray, options: Options) -> dict[str, float]:
    """The mean of values (seeds, n) and its paired difference from another's: RATE."""
    draws = bootstrap(*values.shape, options.resamples)
    drawn = draws.sums(values) / values.size
    change = drawn - draws.sums(base) / values.size
    ends = [end for side in (drawn, change) for end in intervals(side, options.confidence)]
    found = draws.seeds, draws.n, float(drawn[0]), *ends[:2], float(change[0]), *ends[2:]
    return dict(zip(RATE, found, strict=True))


def slopes(arm: str, cells: Mapping[Place, Replies], options: Options, margin: float) -> list[dict]:
    """log2 of cross-attention's best temperature and of those it bears, at every length.

    See `turned`. The row without hay is the slope, in octaves of temperature an octave of seconds:
    what schedules of temperature foretell. `edge` is 1 where the temperature lies at an end of what
    was tried, so that it may lie beyond; of the slope, at how many lengths. `cut` is the share of
    resamples in which it does; of the slope, at any length.
    """
    rows = []
    for filler in dict.fromkeys(place.filler for place in cells):
        lines: dict[int, list[Place]] = {}
        for place in sorted(cells, key=lambda place: place.temperature):
            if (place.slot, place.split, place.filler) == ("cross", "test", filler):
                lines.setdefault(place.hay, []).append(place)
        if len(lines) < 2 or any(len(line) < 5 for line in lines.values()):
            continue
        lines = dict(sorted(lines.items()))
        seconds = [cells[line[0]].seconds for line in lines.values()]
        found = [
            turned([cells[at] for at in line], line, margin, options) for line in lines.values()
        ]
        seeds, n = next(iter(cells.values())).bound.shape
        about = {"arm": arm, "filler": filler, "seeds": seeds, "utterances": n}
        for quantity in found[0]:
            drawn, ended = (np.stack(of) for of in zip(*(f[quantity] for f in found), strict=True))
            told = [*zip(lines, seconds, drawn, ended, ended[:, 0], strict=True)]
            told.append(("", "", slope(seconds, drawn.T), ended.any(axis=0), ended[:, 0].sum()))
            for hay, length, values, cut, edge in told:
                low, high = interval(values[1:], options.confidence)
                rows.append(
                    about | {"quantity": quantity, "hay": hay, "seconds": length}
                    | {"octaves": float(values[0]), "low": low, "high": high}
                    | {"edge": int(edge), "cut": float(cut[1:].mean())}
                )  # fmt: skip
    return rows


def turned(
    heated: Sequence[Replies], places: Sequence[Place], margin: float, options: Options
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """log2 temperatures (R,) at one length, and whether they lie at an end of what was tried.

    `best`: where forced choice's nats are least, of all temperatures, see `lengths.lowest`;
    `sharpest` and `softest`: how far from 1 forced choice falls by no more than the margin;
    `softest_odds`: how far its log-odds fall by no more than `ODDS`, which weighs what is lost by
    how much was to be lost.
    """
    temperatures = [place.temperature for place in places]
    draws = bootstrap(*heated[0].bound.shape, options.resamples)

    def curves(column: str) -> np.ndarray:
        values = np.stack([getattr(replies, column) for replies in heated])  # (T, seeds, n)
        return draws.sums(values) / values[0].size  # (R, T)

    missed, half = 1 - curves("bound"), 0.5 / heated[0].bound.size  # half an answer either way
    odds = np.log((missed + half) / (1 - missed + half))
    found = {
        "best": lowest(temperatures, curves("nats")),
        "sharpest": tolerated(temperatures, missed, softer=False, rise=margin),
        "softest": tolerated(temperatures, missed, softer=True, rise=margin),
        "softest_odds": tolerated(temperatures, odds, softer=True, rise=ODDS),
    }
    ends = np.log2(temperatures)[[0, -1], None]
    return {
        name: (drawn, np.isclose(drawn, ends, atol=1e-3).any(axis=0))
        for name, drawn in found.items()
    }


def softness(arm: str, evidence: Evidence, entropy_length) -> list[dict]:
    """How sharp heads are against length, by what there is to be passed over."""
    runs, rows = evidence.entropies[arm], []
    for filler in evidence.params.entropy.fillers:
        chosen = [[row for row in of_seed if row["filler"] == filler] for of_seed in runs]
        counted = evidence.params.entropy.utterances
        found = entropy_length(arm, chosen, counted, evidence.options)
        rows += [row | {"filler": filler} for row in found]
    return rows


def learning(arm: str, seed: int, steps: int, dev: Rows) -> dict:
    """When a run began to recall, and what it could do at its last dev measurement."""
    recall = [(int(r["step"]), float(r["first_word"])) for r in dev if r["task"] == "recall"]
    last = {row["task"]: float(row["first_word"]) for row in dev}
    return {
        "arm": arm, "seed": seed, "steps": steps,
        "transition_step": next((step for step, share in recall if share >= TRANSITION), ""),
        "recall": last.get("recall", ""), "recall_short": last.get("recall short", ""),
        "spot": last.get("spot", ""), "learned": last.get("recall", 0.0) >= LEARNED,
    }  # fmt: skip


def joined(parts: Sequence[Sequence[dict]]) -> list[dict]:
    return [row for part in parts for row in part]
