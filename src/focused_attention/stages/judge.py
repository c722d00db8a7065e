"""Stage judge: the tables of what was found, and the verdict on every claim of the source.

    python -m focused_attention.stages.judge --profile full

judges a profile that was run before from the rows that its runs left, which are committed.
"""

import argparse
import logging

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import Params, Study, load
from focused_attention.paths import RESULTS
from focused_attention.verdicts import (
    changed,
    heads,
    measured,
    regimes,
    replies,
    rules,
    sharper,
    spotted,
    tables,
    uniform,
)
from focused_attention.verdicts.evidence import Evidence, Rows, uniformity

COLUMNS = (
    tables.COLUMNS
    | regimes.COLUMNS
    | {
        "changed": changed.COLUMNS,
        "sharper": sharper.COLUMNS,
        "uniformity": uniform.COLUMNS,
    }
)


def studies(params: Params) -> tuple[Study, ...]:
    return params.runs.seek, params.runs.adapt


def read(params: Params, measure: str, ending: str = "") -> dict[str, list[Rows]]:
    """The rows of every seed by arm, without those to which the measure does not apply."""
    folder = RESULTS / params.profile
    return {
        arm: [measured.read(folder, measure, arm, seed, ending) for seed in study.seeds]
        for study in studies(params)
        for arm in params.measured(measure, study)
        if measured.applies(folder, measure, arm, study.seeds)
    }


def gather(params: Params) -> Evidence:
    """Everything that the other stages left. Raises UserError naming a file that is missing."""
    folder = RESULTS / params.profile
    seeds = {arm: study.seeds for study in studies(params) for arm in study.arms}
    paired, varied = (folder / "tables" / f"{name}.csv" for name in ("pairs", "variants"))
    return Evidence(
        params=params,
        seeds=seeds,
        learning=[
            tables.learning(
                arm,
                seed,
                results.read_json(folder / "seek" / f"{arm}-{seed}.json")["steps"],
                results.read_csv(folder / "seek" / f"{arm}-{seed}-dev.csv"),
            )
            for arm in seeds
            for seed in seeds[arm]
        ],
        recalled={
            arm: replies.gather(runs, str(folder / "recall"))
            for arm, runs in read(params, "recall").items()
        },
        pruned={
            arm: replies.gather(runs, str(folder / "prune"))
            for arm, runs in read(params, "prune").items()
        },
        spotted={arm: spotted.gather(runs) for arm, runs in read(params, "spot").items()},
        entropies=read(params, "entropy"),
        uniformity={
            arm: uniformity(runs) for arm, runs in read(params, "entropy", "-recordings").items()
        },
        asked=replies.asked(results.read_csv(folder / "asked.csv")),
        wer=results.read_csv(folder / "tables" / "wer.csv"),
        pairs=results.read_csv(paired) if paired.exists() else [],  # one arm has none
        arms=results.read_csv(folder / "tables" / "arms.csv"),
        varied=results.read_csv(varied) if varied.exists() else [],  # of before there were any
        timings=results.read_json(RESULTS / "benchmark-attention.json")["timings"],
    )


def found(evidence: Evidence) -> dict[str, list[dict]]:
    """The rows of every file in findings/, by its name."""
    params, options, asked = evidence.params, evidence.options, evidence.asked
    temperatures = [
        row
        for arm in evidence.entropies
        for seed in evidence.seeds[arm]
        for row in measured.read(
            RESULTS / params.profile, "entropy", arm, seed, ending="-temperatures"
        )
    ]
    techniques = read(params, "techniques")
    by_arm = {
        "answers": [
            tables.answers(arm, cells, asked, options) for arm, cells in evidence.recalled.items()
        ],
        "pruning": [
            tables.answers(arm, cells, asked, options) for arm, cells in evidence.pruned.items()
        ],
        "slopes": [
            tables.slopes(arm, cells, options, rules.MARGIN)
            for arm, cells in evidence.recalled.items()
        ],
        "spotting": [
            spotted.spotting(arm, cells, options) for arm, cells in evidence.spotted.items()
        ],
        "entropy-length": [
            tables.softness(arm, evidence, heads.entropy_length) for arm in evidence.entropies
        ],
    }
    return {name: tables.joined(parts) for name, parts in by_arm.items()} | {
        "temperatures": temperatures,
        "learning": list(evidence.learning),
        "changed": changed.table(evidence),
        "sharper": sharper.table(evidence),
        "uniformity": uniform.table(evidence),
        "schedules": regimes.schedules(evidence),
        "learned": regimes.learned(temperatures, options),
        "techniques": regimes.techniques(techniques, options),
        "windows": regimes.windows(techniques, params, options),
        "swapped": regimes.swapped(read(params, "swapped"), params, options),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--profile", help="default: that of params.yaml")
    params = load(profile=parser.parse_args(argv).profile)
    evidence = gather(params)
    folder = RESULTS / params.profile
    for name, rows in found(evidence).items():
        columns = COLUMNS[name]
        kept = [{column: row[column] for column in columns} for row in rows]
        results.write_csv(folder / "findings" / f"{name}.csv", kept, columns)
    first = f"{params.runs.seek.arms[0]}-{params.runs.seek.seeds[0]}"
    trained = results.read_json(folder / "seek" / f"{first}.json")
    judged = rules.judge(evidence)
    about = {"profile": params.profile, "hardware": trained["hardware"]}
    results.write_json(folder / "verdicts.json", about | judged)
    for name, claim in judged["claims"].items():
        logging.info("%s %s: %s", name, claim["verdict"], claim["reason"])


if __name__ == "__main__":
    run(main)
