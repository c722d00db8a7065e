"""What arms that go on from another do differently, and what is the encoder's part, as tidy tables.

Schedules of temperature are held against plain attention that went on alike; encoders that see a
window against the same model's without one; models of one's encoder and another's decoder against
the shorter-trained model whole. Shape alphabet: seeds and n, the recordings.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from focused_attention.params import Arm, Params
from focused_attention.verdicts.evidence import LONG, Evidence, Options, Rows
from focused_attention.verdicts.replies import Place, held
from focused_attention.verdicts.statistics import of_seeds
from focused_attention.verdicts.tables import RATE, contrast, measured

SCHEDULED = "scheduled"
WINDOWED = "windowed"
WIDTH = "window encoder width="  # and the width: a technique of inference, as rows name it
LONGER = ("bound", "right", "none")  # measures of the answers
CONTROL = {"schedule": "none", "slope": "", "scale": ""}
PLACE = ("filler", "hay", "seconds", "measure")
COLUMNS = {
    "schedules": (
        "arm", "slot", "schedule", "slope", "scale", *PLACE, *RATE[:5], "against", *RATE[5:],
    ),
    "learned": ("arm", "slot", "quantity", "seeds", "heads", "mean", "low", "high", "rising"),
    "techniques": ("arm", "technique", "settings", "task", *PLACE, *RATE),
    "windows": ("arm", "imposed", "positions", "window", "task", *PLACE, *RATE),
    "swapped": ("encoder", "decoder", *PLACE, *RATE),
}  # fmt: skip


def schedule(arm: Arm) -> dict[str, str | float] | None:
    """The slot and the settings of an arm's schedule of temperature; None if it has none."""
    slots = {"encoder": arm.encoder, "cross": arm.cross}
    for slot, settings in slots.items():
        if settings.get("mechanism") == SCHEDULED:
            name = settings["schedule"]
            return {
                "slot": slot,
                "schedule": name,
                "slope": settings["slope"] if name == "power" else "",
                "scale": settings["temp_scale"] if name.startswith("published") else "",
            }
    return None


def schedules(evidence: Evidence) -> list[dict]:
    """Every schedule as it was trained, in recordings of every size, less plain attention there.

    Arms of as many seeds as the control has; it stands first in both slots.
    """
    arms = evidence.params.arms
    named = {arm: schedule(arms[arm]) for arm in evidence.recalled}
    tried = [(arm, about) for arm, about in named.items() if about]
    slots = dict.fromkeys(about["slot"] for _, about in tried)
    tried = [(LONG, CONTROL | {"slot": slot}) for slot in slots] + tried
    rows = []
    for arm, about in tried:
        for place in as_trained(evidence, arm):
            known = held(evidence.asked, place)
            sides = [dict(measured(evidence.recalled[of][place], known)) for of in (arm, LONG)]
            at = {"arm": arm, "against": LONG, "filler": place.filler, "hay": place.hay}
            rows += [
                at | about | {"seconds": known.seconds, "measure": name}
                | contrast(*(side[name] for side in sides), evidence.options)
                for name in LONGER
            ]  # fmt: skip
    return rows


def as_trained(evidence: Evidence, arm: str) -> Iterator[Place]:
    """Where an arm answered test recordings as the control did, with nothing turned."""
    control = evidence.recalled.get(LONG, {})
    for place, replies in evidence.recalled[arm].items():
        same = place in control and control[place].bound.shape == replies.bound.shape
        if place == Place(hay=place.hay, filler=place.filler) and same:
            yield place


def learned(temperatures: Sequence[Mapping[str, str]], options: Options) -> list[dict]:
    """Levels, in octaves, and slopes that heads have learned: means, with intervals over seeds.

    `rising` counts the seeds whose heads' mean is above zero: softer, or softer with more keys.
    """
    heads: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}
    for row in temperatures:
        told = {"log2_temperature": math.log2(float(row["temperature"])), "slope": row["slope"]}
        of_arm = heads.setdefault((row["arm"], row["slot"]), {})
        for quantity, value in told.items():
            if value != "":
                of_arm.setdefault(quantity, {}).setdefault(row["seed"], []).append(float(value))
    rows = []
    for (arm, slot), quantities in heads.items():
        for quantity, by_seed in quantities.items():
            means = np.array([np.mean(values) for values in by_seed.values()])
            low, high = of_seeds(means, options.confidence)
            rows.append(
                {"arm": arm, "slot": slot, "quantity": quantity, "seeds": len(means)}
                | {"heads": sum(map(len, by_seed.values())), "mean": float(means.mean())}
                | {"low": low, "high": high, "rising": int((means > 0).sum())}
            )
    return rows


def outcomes(rows: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """Of a row of every seed, the shares (seeds, n) that are told of its task."""

    def digits(column: str) -> np.ndarray:
        return np.array([list(map(int, row[column])) for row in rows])

    if rows[0]["task"] == "spot":
        exact = (digits("right") == int(rows[0]["needles"])) & (digits("extra") == 0)
        return {"exact": exact}
    return {"bound": digits("bound"), "right": digits("right")}


def size(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("task", "filler", "hay", "seconds"))


def against(
    ours: Sequence[Mapping[str, str]], base: Sequence[Mapping[str, str]], options: Options
) -> Iterator[dict]:
    """Rows of every seed, held against those of the same recordings by another model."""
    task, filler, hay, seconds = size(ours[0])
    about = {"task": task, "filler": filler or "prompts", "hay": hay, "seconds": seconds}
    others = outcomes(base)
    for name, values in outcomes(ours).items():
        yield about | {"measure": name} | contrast(values, others[name], options)


def windows(runs: Mapping[str, Sequence[Rows]], params: Params, options: Options) -> list[dict]:
    """Encoders that see a window, imposed while they run or in training, less those that see all.

    `runs` are the rows of measure `techniques`, of every seed by arm.
    """
    cells = {arm: by_setting(of_arm) for arm, of_arm in runs.items()}
    rows = []
    for arm, of_arm in cells.items():
        trained = params.arms[arm].encoder
        if trained.get("mechanism") == WINDOWED:
            about = {"imposed": "training", "positions": trained["positions"]}
            whole = cells.get(f"{arm.rpartition('-')[0]}-none", {}).get("none", {})
            tried = {trained.get("window") or "": of_arm["none"]} if whole else {}
        else:
            about = {"imposed": "inference", "positions": "rotary"}
            whole = of_arm["none"]
            widths = [name for name in of_arm if name.startswith(WIDTH)]
            tried = {name.removeprefix(WIDTH): of_arm[name] for name in widths}
            tried = {"": whole} | tried if tried else {}
        rows += [
            {"arm": arm, "window": width} | about | found
            for width, at in tried.items()
            for place, row in at.items()
            for found in against(row, whole[place], options)
        ]
    return rows


def techniques(runs: Mapping[str, Sequence[Rows]], options: Options) -> list[dict]:
    """What else is done to models while they run, less the same models as they were trained.

    `runs` are the rows of measure `techniques`, of every seed by arm.
    """
    rows = []
    for arm, of_arm in runs.items():
        cells = by_setting(of_arm)
        tried = [name for name in cells if not name.startswith(("none", WIDTH))]
        rows += [
            {"arm": arm, "technique": row[0]["technique"], "settings": row[0]["settings"]} | found
            for name in tried
            for place, row in cells[name].items()
            for found in against(row, cells["none"][place], options)
        ]
    return rows


def by_setting(runs: Sequence[Rows]) -> dict[str, dict[tuple, Sequence[Mapping[str, str]]]]:
    """Rows of every seed by what is done to the model, `none` or technique and settings, and size.

    Without what does not apply.
    """
    cells: dict[str, dict[tuple, Sequence[Mapping[str, str]]]] = {}
    for row in zip(*runs, strict=True):
        if not row[0]["note"]:
            name = " ".join(filter(None, (row[0]["technique"], row[0]["settings"])))
            cells.setdefault(name, {})[size(row[0])] = row
    return cells


def swapped(runs: Mapping[str, Sequence[Rows]], params: Params, options: Options) -> list[dict]:
    """The four models of an arm's encoder and decoder and of those it starts from.

    `runs` are the rows of measure `swapped`, of every seed by arm; they are held against the start
    as a whole.
    """
    rows = []
    for arm, of_arm in runs.items():
        names = {"own": arm, "start": params.arms[arm].start}
        cells = [(row[0]["encoder"], row[0]["decoder"], row) for row in zip(*of_arm, strict=True)]
        base = {size(row[0]): row for *sides, row in cells if sides == ["start", "start"]}
        rows += [
            {"encoder": names[encoder], "decoder": names[decoder]} | found
            for encoder, decoder, row in cells
            for found in against(row, base[size(row[0])], options)
        ]
    return rows
