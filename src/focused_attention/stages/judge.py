"""Stage judge: the tables of what was found, and the verdict on every claim of the source.

    python -m focused_attention.stages.judge --profile full

judges a profile that was run before from the rows that its runs left, which are committed.
"""

import argparse
import logging
from itertools import chain

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import Params, load
from focused_attention.paths import RESULTS
from focused_attention.verdicts import findings, heads, measured, rules
from focused_attention.verdicts.by_seed import by_seed
from focused_attention.verdicts.chance import guessers
from focused_attention.verdicts.evidence import Evidence
from focused_attention.verdicts.guesses import by_place, guesses
from focused_attention.verdicts.spotting import spotting


def gather(params: Params) -> Evidence:
    """Everything that the other stages left. Raises UserError naming a file that is missing."""
    folder, seeds = RESULTS / params.profile, params.runs.seek.seeds

    def read(measure: str) -> dict[str, list[findings.Rows]]:
        """The rows of every seed by arm, without those to which the measure does not apply."""
        return {
            arm: [measured.read(folder, measure, arm, seed) for seed in seeds]
            for arm in params.measured(measure)
            if measured.applies(folder, measure, arm, seeds)
        }

    paired = folder / "tables" / "pairs.csv"
    searched = read("sweep")
    options = findings.Options(params.collect.resamples, params.collect.confidence)
    return Evidence(
        params=params,
        learning=[
            findings.learning(
                arm,
                seed,
                params.seek.steps,
                results.read_csv(folder / "seek" / f"{arm}-{seed}-dev.csv"),
            )
            for arm in params.runs.seek.arms
            for seed in seeds
        ],
        swept={arm: findings.gather(runs, str(folder / "sweep")) for arm, runs in searched.items()},
        spotted={arm: spotting(arm, runs, options) for arm, runs in searched.items()},
        pruned={
            arm: findings.gather(runs, str(folder / "prune")) for arm, runs in read("prune").items()
        },
        entropies=read("entropy"),
        guessed=read("guess"),
        asked=results.read_csv(folder / "asked.csv"),
        wer=results.read_csv(folder / "tables" / "wer.csv"),
        pairs=results.read_csv(paired) if paired.exists() else [],  # one arm has none
        arms=results.read_csv(folder / "tables" / "arms.csv"),
        timings=results.read_json(RESULTS / "benchmark-attention.json")["timings"],
    )


def tables(evidence: Evidence) -> dict[str, list[dict]]:
    """The rows of every file in findings/, by its name."""
    params, options = evidence.params, evidence.options
    swept, pruned, entropies = evidence.swept, evidence.pruned, evidence.entropies
    utterances = params.entropy.utterances
    rows = {
        "accuracy": [findings.accuracy(arm, swept[arm], options) for arm in swept],
        "optimum": [findings.optimum(arm, swept[arm], options) for arm in swept],
        "pruning": [findings.pruning(arm, pruned[arm], options) for arm in pruned],
        "entropy-length": [
            heads.entropy_length(arm, entropies[arm], utterances, options) for arm in entropies
        ],
        "temperatures": [
            measured.read(RESULTS / params.profile, "entropy", arm, seed, ending="-temperatures")
            for arm in evidence.entropies
            for seed in params.runs.seek.seeds
        ],
        "spotting": list(evidence.spotted.values()),
        "guesses": [guesses(arm, runs, options) for arm, runs in evidence.guessed.items()],
        "guessers": [guessers(evidence.asked)],
        "places": [
            by_place(arm, runs, evidence.asked, options) for arm, runs in evidence.guessed.items()
        ],
        "by-seed": [by_seed(arm, evidence) for arm in swept],
    }
    joined = {name: list(chain.from_iterable(parts)) for name, parts in rows.items()}
    return joined | {"learning": list(evidence.learning)}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--profile", help="default: that of params.yaml")
    params = load(profile=parser.parse_args(argv).profile)
    evidence = gather(params)
    folder = RESULTS / params.profile
    for name, rows in tables(evidence).items():
        results.write_csv(folder / "findings" / f"{name}.csv", rows, findings.COLUMNS[name])
    first = f"{params.runs.seek.arms[0]}-{params.runs.seek.seeds[0]}"
    trained = results.read_json(folder / "seek" / f"{first}.json")
    judged = rules.judge(evidence)
    about = {"profile": params.profile, "hardware": trained["hardware"]}
    results.write_json(folder / "verdicts.json", about | judged)
    for name, claim in judged["claims"].items():
        logging.info("%s %s: %s", name, claim["verdict"], claim["reason"])


if __name__ == "__main__":
    run(main)
