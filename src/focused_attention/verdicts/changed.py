"""What arms that go on seeking with other mechanisms find, against the one that is not changed.

All arms that are changed in the same slots are one family of comparisons, of one outcome: forced
choice where the most words are to be passed over. Everything else stands beside it.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from focused_attention.params import Arm
from focused_attention.verdicts import spotted, variants
from focused_attention.verdicts.evidence import Evidence, Options
from focused_attention.verdicts.replies import Place, held
from focused_attention.verdicts.statistics import (
    MARGIN,
    Difference,
    bootstrap,
    difference,
    holm,
    intervals,
)
from focused_attention.verdicts.tables import measured

SLOTS = ("focus", "encoder", "decoder", "cross")
SPOTTED = ("precision", "recall", "exact")
COLUMNS = (
    "arm", "slot", "task", "filler", "hay", "seconds", "measure", "seeds", "utterances", "rate",
    "low", "high", "difference", "difference_low", "difference_high", "p", "p_holm", "shrunken",
    "equivalent",
)  # fmt: skip
Sides = tuple[np.ndarray, np.ndarray]  # numerators and denominators, (seeds, n)


def slots(arm: Arm) -> str:
    """The slots of an arm that have a mechanism of its own."""
    return " ".join(slot for slot in SLOTS if getattr(arm, slot))


def table(evidence: Evidence) -> list[dict]:
    """Rows of COLUMNS for every arm that goes on, first the one that all are held against.

    Empty where none is changed, and without arms of other seeds or recordings than that one has.
    """
    params = evidence.params
    if not any(slots(params.arm(arm)) for arm in params.runs.adapt.arms):
        return []
    control = params.control("adapt")
    base, rows, drawn = dict(outcomes(evidence, control)), [], {}
    for arm in dict.fromkeys([control, *params.runs.adapt.arms]):
        about = {"arm": arm, "slot": slots(params.arm(arm))}
        for at, sides in outcomes(evidence, arm):
            if at not in base or sides[0].shape != base[at][0].shape:
                continue
            found, told, change = contrast(sides, base[at], evidence.options)
            rows.append(dict.fromkeys(COLUMNS, "") | about | dict(at) | told)
            if primary(rows[-1], evidence) and arm != control:
                drawn.setdefault(about["slot"], {})[arm] = found, change
    families(rows, drawn, evidence)
    return rows


def outcomes(evidence: Evidence, arm: str) -> Iterator[tuple[tuple, Sides]]:
    """Every outcome of an arm as it was trained, and where it is."""
    for place, replies in evidence.recalled.get(arm, {}).items():
        if place != Place(hay=place.hay, filler=place.filler):
            continue
        known = held(evidence.asked, place)
        at = {"task": "recall", "filler": place.filler, "hay": place.hay, "seconds": known.seconds}
        for name, values in measured(replies, known):
            yield where(at, name), (values, np.ones(values.shape))
    for (hay, heat), cell in evidence.spotted.get(arm, {}).items():
        if heat == 1.0:
            at = {"task": "spot", "filler": "prompts", "hay": hay, "seconds": ""}
            sides = spotted.measured(*cell)
            yield from ((where(at, name), sides[name]) for name in SPOTTED)


def where(at: Mapping, measure: str) -> tuple:
    return tuple((at | {"measure": measure}).items())


def contrast(
    ours: Sides, base: Sides, options: Options
) -> tuple[Difference, dict[str, float], np.ndarray]:
    """A rate and its paired difference from another's; and that difference in every resample."""
    draws = bootstrap(*ours[0].shape, options.resamples)
    with np.errstate(invalid="ignore"):  # nothing written: no precision
        drawn = draws.rates(*ours)
        change, fixed = (
            draws.rates(*ours, seeds=seeds) - draws.rates(*base, seeds=seeds)
            for seeds in (True, False)
        )
    found = difference(change, fixed, options.confidence)
    low, high = intervals(drawn, options.confidence)
    told = {"seeds": draws.seeds, "utterances": draws.n, "rate": float(drawn[0])}
    told |= {"low": float(low), "high": float(high), "difference": found.estimate}
    return found, told | {"difference_low": found.low, "difference_high": found.high}, change


def primary(row: Mapping, evidence: Evidence) -> bool:
    """Whether that is the outcome by which arms are compared."""
    at = evidence.longest
    wanted = {"task": "recall", "filler": at.filler, "hay": at.hay, "measure": "bound"}
    return all(row[name] == value for name, value in wanted.items())


def families(
    rows: Sequence[dict],
    drawn: Mapping[str, Mapping[str, tuple[Difference, np.ndarray]]],
    evidence: Evidence,
) -> None:
    """Add to the rows that are compared what their family makes of them."""
    for family in drawn.values():
        p = holm({arm: found.p for arm, (found, _) in family.items()})
        changes = np.stack([change for _, change in family.values()], axis=1)
        shrunken = dict(zip(family, variants.together(changes), strict=True))
        for row in rows:
            if row["arm"] in family and primary(row, evidence):
                found = family[row["arm"]][0]
                row |= {"p": found.p, "p_holm": p[row["arm"]]}
                row |= {"shrunken": float(shrunken[row["arm"]])}
                row |= {"equivalent": found.low > -MARGIN and found.high < MARGIN}
