"""A trial of the first edition: what its runs left, the tables that follow, and its verdicts."""

import logging
from itertools import chain

from focused_attention import results
from focused_attention.paths import RESULTS
from focused_attention.verdicts import findings, heads, measured
from focused_attention.verdicts.findings import RATE
from focused_attention.verdicts.first import rules
from focused_attention.verdicts.first.by_seed import by_seed
from focused_attention.verdicts.first.chance import guessers
from focused_attention.verdicts.first.evidence import Evidence
from focused_attention.verdicts.first.guesses import by_place, guesses
from focused_attention.verdicts.first.spotting import spotting
from focused_attention.verdicts.first.study import Study

COLUMNS = findings.COLUMNS | {
    "guesses": ("arm", "hay", "temperature", "measure", *RATE),
    "places": ("arm", "hay", "place", *RATE[:5]),
    "guessers": ("hay", "guesser", "utterances", "rate"),
    "spotting": ("arm", "hay", "seconds", "temperature", "measure", *RATE),
    "by-seed": ("arm", "seed", "task", "hay", "top_k", "temperature", *RATE),
}


def gather(study: Study) -> Evidence:
    """Everything that the runs left. Raises UserError naming a file that is missing."""
    folder, seeds = RESULTS / study.profile, study.seeds

    def read(measure: str) -> dict[str, list[findings.Rows]]:
        """The rows of every seed by arm, without those to which the measure does not apply."""
        return {
            arm: [measured.read(folder, measure, arm, seed) for seed in seeds]
            for arm in study.measured.get(measure, ())
            if measured.applies(folder, measure, arm, seeds)
        }

    paired = folder / "tables" / "pairs.csv"
    searched = read("sweep")
    return Evidence(
        study=study,
        learning=[
            findings.learning(
                arm, seed, study.steps, results.read_csv(folder / "seek" / f"{arm}-{seed}-dev.csv")
            )
            for arm in study.arms
            for seed in seeds
        ],
        swept={arm: findings.gather(runs, str(folder / "sweep")) for arm, runs in searched.items()},
        spotted={arm: spotting(arm, runs, study.options) for arm, runs in searched.items()},
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
    study, options = evidence.study, evidence.study.options
    swept, pruned, entropies = evidence.swept, evidence.pruned, evidence.entropies
    rows = {
        "accuracy": [findings.accuracy(arm, swept[arm], options) for arm in swept],
        "optimum": [findings.optimum(arm, swept[arm], options) for arm in swept],
        "pruning": [findings.pruning(arm, pruned[arm], options) for arm in pruned],
        "entropy-length": [
            heads.entropy_length(arm, entropies[arm], study.entropy.utterances, options)
            for arm in entropies
        ],
        "temperatures": [
            measured.read(RESULTS / study.profile, "entropy", arm, seed, ending="-temperatures")
            for arm in entropies
            for seed in study.seeds
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


def write(study: Study) -> None:
    """findings/ and verdicts.json of a trial. Raises UserError naming a file that is missing."""
    evidence = gather(study)
    folder = RESULTS / study.profile
    for name, rows in tables(evidence).items():
        results.write_csv(folder / "findings" / f"{name}.csv", rows, COLUMNS[name])
    trained = results.read_json(folder / "seek" / f"{study.arms[0]}-{study.seeds[0]}.json")
    judged = rules.judge(evidence)
    about = {"profile": study.profile, "hardware": trained["hardware"]}
    results.write_json(folder / "verdicts.json", about | judged)
    for name, claim in judged["claims"].items():
        logging.info("%s %s: %s", name, claim["verdict"], claim["reason"])
