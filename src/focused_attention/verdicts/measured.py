"""What stage `measure` left of every run, and all of it as one table.

Beside the rows stands, for every run, which files there are and how they are to be read; of runs
from before there were such files, the rows alone are known.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from focused_attention import results
from focused_attention.errors import UserError
from focused_attention.metrics.counts import scores
from focused_attention.params import Params
from focused_attention.verdicts.statistics import seeds_interval

COLUMNS = (
    "measure", "arm", "condition", "metric", "seeds", "units", "mean", "low", "high", "figure",
    "note",
)  # fmt: skip
Answers = tuple[np.ndarray, np.ndarray]  # numerators and denominators of a rate, (units,) each


def contents(folder: Path, arm: str, seed: int) -> dict | None:
    """What was measured of a run, by measure; None if it is not known."""
    path = folder / "measure" / f"{arm}-{seed}.json"
    return results.read_json(path)["measures"] if path.exists() else None


def applies(folder: Path, measure: str, arm: str, seeds: Sequence[int]) -> bool:
    """Whether a measure has rows of an arm: of every seed, or of none."""
    known = [contents(folder, arm, seed) for seed in seeds]
    return all(of is None or of.get(measure, {}).get("files") for of in known)


def read(folder: Path, measure: str, arm: str, seed: int, ending: str = "") -> list[dict]:
    """The rows of a measure. Raises UserError for a file that is missing, or not as it was made."""
    path = folder / measure / f"{arm}-{seed}{ending}.csv"
    rows = results.read_csv(path)
    known = contents(folder, arm, seed)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if known is not None and known.get(measure, {}).get("files", {}).get(path.name) != digest:
        raise UserError(
            f"{path}: not as stage measure made it; run "
            f"`python -m focused_attention.stages.measure {arm} --seed {seed}`"
        )
    return rows


def table(params: Params, folder: Path) -> list[dict]:
    """The mean of all that was measured, with its interval over units and seeds.

    A row for every measure, arm, condition and metric; and one, with a note, for what does not
    apply. Units are utterances; of rows that are means themselves, such as a head's, the rows.
    """
    rows, studies = [], (params.runs.seek, params.runs.adapt)
    taken = [(measure, study) for measure in params.measure for study in studies]
    for measure, study in taken:
        for arm in params.measured(measure, study):
            known = [contents(folder, arm, seed) for seed in study.seeds]
            if any(of is None or measure not in of for of in known):
                raise UserError(
                    f"{folder / 'measure'}: {measure} was not measured of every seed of {arm}; "
                    "run `dvc repro measure`"
                )
            about = {"measure": measure, "arm": arm}
            found = of_arm(params, folder, about, known[0][measure], study.seeds)
            rows += [about | row for row in found]
            rows += [
                dict.fromkeys(COLUMNS, "") | about
                | {"condition": part, "note": f"not applicable: {why}"}
                for part, why in known[0][measure]["not_applicable"].items()
            ]  # fmt: skip
    return rows


def of_arm(
    params: Params, folder: Path, about: Mapping, known: Mapping, seeds: Sequence[int]
) -> Iterator[dict]:
    """The rows of one measure and arm."""
    if not known["files"]:
        return
    shown = known["shown"]
    of_seeds = [
        gathered(read(folder, about["measure"], about["arm"], seed), shown) for seed in seeds
    ]
    options = {"resamples": params.collect.resamples, "confidence": params.collect.confidence}
    for (condition, metric, figure), (above, _) in of_seeds[0].items():
        cells = [cells.get((condition, metric, figure), ((), ())) for cells in of_seeds]
        if any(len(other) != len(above) for other, _ in cells):
            raise UserError(f"{folder}: the seeds of {about} differ; run `dvc repro measure`")
        above, below = (np.array(side, dtype=float) for side in zip(*cells, strict=True))
        counted = below.any(axis=0)
        above, below = above[:, counted], below[:, counted]
        mean = above.sum() / below.sum() if below.sum() else math.nan
        low, high = math.nan, math.nan
        if below.any(axis=1).all() and above.shape[1] > 1:
            low, high = seeds_interval(above, below, **options)
        size = {"seeds": len(seeds), "units": above.shape[1]}
        yield {"condition": condition, "metric": metric} | size | {
            "mean": float(mean), "low": low, "high": high, "figure": figure, "note": ""
        }  # fmt: skip


def gathered(rows: list[dict], shown: Mapping) -> dict[tuple[str, str, bool], Answers]:
    """Numerators and denominators by condition, metric and whether they stand in the figure."""
    found: dict[tuple[str, str, bool], list[Answers]] = {}
    for row in rows:
        if row.get("note"):
            continue
        condition = "; ".join(f"{name}={row[name]}" for name in shown["by"] if row[name] != "")
        wanted = (shown["figure"] or {}).items()
        figure = all(row[name] in map(str, values) for name, values in wanted)
        for metric, answers in numbers(row, shown):
            found.setdefault((condition, metric, figure), []).append(answers)
    return {
        place: tuple(np.concatenate(side) for side in zip(*parts, strict=True))
        for place, parts in found.items()
    }


def numbers(row: Mapping[str, str], shown: Mapping) -> Iterator[tuple[str, Answers]]:
    """What a row tells of its units, by metric; a number that is none counts for nothing."""
    for name in shown["digits"]:
        if not row[name]:
            continue
        if name == "right":
            yield ("f1" if row.get("asked") else "right"), scores(row)
        else:
            yield name, scores({"right": row[name]})
    listed = {name: row[name].split() for name in shown["numbers"]}
    if shown["value"]:
        listed[row["metric"]] = [row[shown["value"]]]
    for name, values in listed.items():
        values = np.array(values, dtype=float)
        yield name, (np.nan_to_num(values), (~np.isnan(values)).astype(float))
