"""Stage heard: curves, best temperatures and verdicts from what stage listen left.

    python -m focused_attention.stages.heard --profile full

does it for a profile that was run before, from its committed rows.
"""

import argparse
import logging
from pathlib import Path

import numpy as np

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import load
from focused_attention.paths import RESULTS
from focused_attention.verdicts import hearing, times, tried, whisper

RESAMPLES = 10_000  # of W3's p-value, which is close to its level
TIMES = (
    "model", "heads", "qk_scale", "temperature", "corrected", "kind", "n",
    *(f"{of}{end}" for of in ("median", "p90", "close", "bias") for end in ("", "_low", "_high")),
)  # fmt: skip
COLUMNS = {  # of tables that may have no rows
    name: ("model", *own, *(f"{value}{end}" for end in ("", "_low", "_high")))
    for name, own, value in (
        ("slopes", ("slot", "condition", "fewest", "most", "of"), "slope"),
        ("spared", ("temperature", "recordings", "technique"), "cost"),
    )
}
TABLES = {
    "losses": hearing.losses,
    "optima": hearing.optima,
    "slopes": hearing.slopes,
    "schedules": hearing.schedules,
    "spared": hearing.spared,
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--profile", help="default: that of params.yaml")
    params = load(profile=parser.parse_args(argv).profile)
    folder, confidence = RESULTS / params.profile, params.collect.confidence
    groups = []
    for file in sorted((folder / "listen").glob("*-recordings.csv")):
        label = file.stem.removesuffix("-recordings")
        model, _, slot = label.rpartition("-")
        rows = results.read_csv(file.with_name(f"{label}.csv"))
        held = results.read_csv(file)
        groups.append(hearing.curves(model, slot, rows, held, params.listen.resamples))
    for name, table in TABLES.items():
        rows = [row for group in groups for row in table(group, confidence)]
        results.write_csv(folder / "heard" / f"{name}.csv", rows, COLUMNS.get(name, ()))
    options = {"resamples": params.listen.resamples, "confidence": confidence}
    rows, timed = word_times(folder / "word_times", options)
    results.write_csv(folder / "heard" / "times.csv", rows, TIMES)
    curves = [curve for group in groups for curve in group]
    tables, *answered = trials(folder, curves, options)
    judged = whisper.judge(curves, timed, confidence, *answered)
    about = {"profile": params.profile, "confidence": confidence, "tables": tables}
    results.write_json(folder / "heard.json", about | judged)
    for name, claim in judged["claims"].items():
        logging.info("%s: %s", name, claim["verdict"])


def trials(folder: Path, curves: list, options: dict) -> tuple[list, dict, dict]:
    """Write the tables of what was tried; their names, what decides questions, and checks."""
    found, compared, checks = {}, {}, {}
    listened = folder / "listen" / f"{whisper.MODEL}-cross.csv"
    listened = results.read_csv(listened) if listened.exists() else []
    for file in sorted((folder / "listen").glob("*.csv")):
        model, _, name = file.stem.rpartition("-")
        if name in (*hearing.SLOTS, "recordings"):
            continue
        of = tried.Tried(name, model, results.read_csv(file))
        for table, rows in tried.tables(of, curves, **options).items():
            found.setdefault(table, []).extend(rows)
        checks |= tried.checks(of, curves, listened, **options)
        if of.question:
            compared[of.question] = tried.compared(of, options["resamples"])
    for name, rows in found.items():
        results.write_csv(folder / "heard" / f"{name}.csv", rows)
    return sorted(found), compared, checks


def word_times(folder: Path, options: dict) -> tuple[list[dict], whisper.Compared | None]:
    """How far times of words are off, by model and setting, and W3's comparison if it was run."""
    rows, timed = [], None
    for file in sorted(folder.glob("*-strings.csv")):
        model = file.stem.removesuffix("-strings")
        found = times.read(results.read_csv(file.with_name(f"{model}.csv")), results.read_csv(file))
        rows += [{"model": model} | row for row in times.summary(found, **options)]
        if model == whisper.MODEL:
            soft, plain = (found["test", "published", scale, 1.0] for scale in (0.5, 1.0))
            n = int(np.isfinite(plain.of("both")).sum())
            drawn = options | {"resamples": RESAMPLES}
            timed = whisper.Compared(times.compared(soft, plain, **drawn), n)
    return rows, timed


if __name__ == "__main__":
    run(main)
