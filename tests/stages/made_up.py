"""Findings and verdicts of both editions in the results' formats, with made-up numbers."""

from collections.abc import Sequence
from pathlib import Path

from focused_attention.results import write_csv, write_json
from focused_attention.verdicts import claims as second
from focused_attention.verdicts import instrument as checked
from focused_attention.verdicts import readers, tables
from focused_attention.verdicts.findings import RATE
from focused_attention.verdicts.first import chance, instrument
from focused_attention.verdicts.first.claims import CLAIMS
from focused_attention.verdicts.first.trial import COLUMNS

SEEDS = (1, 2, 3)
SECONDS = {"recall": {0: 5.6, 8: 13.2, 60: 61.0}, "spot": {0: 2.4, 12: 40.0}}
HEATS = (0.5, 0.71, 1.0, 2.0)
CLAIM = {
    "claim": "Sharp attention is better.", "test": "accuracy of sharp attention, less plain",
    "arms": ["echo"], "verdict": "undecided", "effect": None, "low": None, "high": None,
    "p": None, "p_holm": None, "margin": 0.02, "n": None, "seeds": None, "unit": "accuracy",
    "reason": "This profile does not train echo.", "missing": None,
}  # fmt: skip
GUESSED = [
    {"hay": 60, "guesser": name, "utterances": 128, "rate": rate}
    for name, rate in (("any heard digit", 0.4), ("last heard digit", 0.45))
]
LINES = {
    "learn": {"arm": "echo", "effect": 0.03, "low": 0.02, "high": 0.04, "n": 300, "seeds": 3}
    | {"verdict": "supported"},
    "apart": [
        {"differs": differs, "arm": arm, "baseline": baseline, "difference": 0.01}
        | {"low": 0.005, "high": 0.02}
        for differs, arm, baseline in readers.APART
    ],
    "run_time": {
        name: [
            {"mechanism": mechanism, "length": length, "rounds": 7, "ratio": ratio}
            | {"low": ratio - 0.1, "high": ratio + 0.1, "word": "slower"}
            for length in (500, 12000)
        ]
        for (name, mechanism), ratio in zip(readers.HYBRIDS.items(), (2.0, 1.3), strict=True)
    },
}
FOUND = {
    "supported": {"effect": 0.07, "low": 0.03, "high": 0.11, "p": 0.001, "p_holm": 0.006},
    "refuted": {"effect": -0.01, "low": -0.03, "high": 0.01, "p": 0.4, "p_holm": 0.8},
    "undecided": {"effect": 0.01, "low": -0.03, "high": 0.05, "p": 0.4, "p_holm": 0.8},
    "equivalent": {"effect": 0.001, "low": -0.01, "high": 0.012, "p": 0.9, "p_holm": 1.0},
}


def write_findings(
    folder: Path, hardware: str, arms: Sequence[str] = ("echo",), verdict: str | None = None
) -> None:
    """Those of the first edition: every claim of one verdict, or nothing compared."""
    write_json(folder / "seek" / "echo-1.json", {"revision": "0123456789ab"})
    rate = dict(zip(RATE, (3, 128, 0.6, 0.5, 0.7, 0.01, -0.02, 0.04), strict=True))
    heads = {"seeds": 3, "collapsed_heads": 4, "one_hot_heads": 2, "heads": 48}
    places = [
        {"arm": arm, "task": task, "needles": 3, "hay": hay, "seconds": seconds, "slot": slot}
        for arm in arms
        for task, sizes in SECONDS.items()
        for hay, seconds in sizes.items()
        for slot in ("encoder", "cross", "both")
    ]
    found_tables = {
        "accuracy": [place | {"temperature": t} | rate for place in places for t in HEATS],
        "optimum": [
            place
            | {"seeds": 3, "utterances": 128, "temperature": 0.71, "low": 0.5, "high": 1.0}
            | {"rate": 0.6, "gain": 0.02, "gain_low": -0.01, "gain_high": 0.05}
            for place in places
        ],
        "entropy-length": [
            {"arm": arm, "slot": slot, "metric": metric, "temperature": t, "hay": hay}
            | {"seconds": seconds, "mean": 0.6, "low": 0.5, "high": 0.7}
            | heads
            for arm in arms
            for slot in ("encoder", "cross")
            for metric in ("normalised_entropy", "effective_support", "below", "segment_mass")
            for t in (0.5, 1.0)
            for hay, seconds in SECONDS["recall"].items()
        ],
        "pruning": [
            {"arm": "echo", "hay": hay, "temperature": t, "slot": "cross"}
            | {"int8": int8, "top_k": top_k}
            | rate
            for hay in (8, 60)
            for t in HEATS
            for int8, top_k in ((False, 1), (False, 8), (False, ""), (True, ""))
        ],
        "guesses": [
            {"arm": "echo", "hay": 60, "temperature": t, "measure": measure} | rate
            for measure in (
                "digits",
                "right",
                "right_given_digit",
                "beyond_any_digit",
                "beyond_heard_digit",
                "right_where_both",
                "right_where_new",
            )
            for t in HEATS
        ],
        "guessers": GUESSED,
        "places": [
            {"arm": "echo", "hay": 60, "place": place}
            | dict(zip(RATE[:5], (3, 40, 0.6, 0.5, 0.7), strict=True))
            for place in (1, 2, 3)
        ],
        "spotting": [
            {"arm": arm, "hay": hay, "seconds": seconds, "temperature": t, "measure": measure}
            | rate
            for arm in arms
            for hay, seconds in SECONDS["spot"].items()
            for measure in ("precision", "recall", "f1", "written")
            for t in HEATS
        ],
        "by-seed": [
            {"arm": arm, "seed": seed, "task": task, "hay": hay, "top_k": top_k, "temperature": t}
            | rate
            for arm in arms
            for seed in (*SEEDS, "all", "trained")
            for task, hay, top_k in (("recall", 60, ""), ("recall", 60, 8), ("spot", 12, ""))
            for t in (0.71, 1.0)
        ],
        "learning": [
            {"arm": arm, "seed": seed, "steps": 2200, "transition_step": 1200 if seed < 3 else ""}
            | {"recall_first_word": 0.95, "spot_first_word": 0.9, "trained": True}
            for arm in arms
            for seed in SEEDS
        ],
        "temperatures": [
            {"arm": arm, "seed": seed, "slot": "cross", "layer": layer, "head": head}
            | {"temperature": 0.9 + 0.1 * layer, "slope": 0.0}
            for arm in arms
            if arm.endswith("-learned")
            for seed in SEEDS
            for layer in (0, 1)
            for head in (0, 1)
        ],
    }
    for name, rows in found_tables.items():
        write_csv(folder / "findings" / f"{name}.csv", rows, COLUMNS[name])
    found = {} if verdict is None else FOUND[verdict] | {"n": 128, "seeds": 3, "verdict": verdict}
    if verdict == "undecided":
        found["missing"] = {"half_width": 0.04, "utterances": 512, "seeds": None}
    worst = {"unit": "word error rate of the worst arm", "lines": LINES}
    claims = {"C0": CLAIM | found | worst | {"p": None, "p_holm": None}}
    for name, claim in CLAIMS.items():
        claims[name] = CLAIM | found
        claims[name] |= {"claim": claim.claim, "test": claim.test, "unit": claim.unit}
    part = {"at_one": 0.9, "effect": -0.05, "low": -0.07, "high": -0.03}
    if verdict is not None:
        claims["C2"]["collapsed"] = {"near": 0, "far": 4, "heads": 48}
        claims["C3"]["parts"] = {name: part for name in ("precision", "recall", "f1", "written")}
    checks = {
        name: {"test": check.test, "guards": list(check.guards)}
        | {"confidence": check.bound and 0.99}
        | {"holds": True, "rate": 0.1, "difference": -0.1, "low": -0.2, "high": -0.1}
        | {"difference_low": -0.2, "difference_high": -0.1, "chance": 0.1}
        | {"equivalence": {"bound": check.bound, "outcome": "holds"}}
        for name, check in instrument.CHECKS.items()
    }
    about = {"profile": folder.name, "hardware": hardware, "resamples": 2000, "confidence": 0.95}
    about |= {"chance": chance.chance(3, 3, GUESSED), "of_one_machine": list(CLAIMS)}
    write_json(
        folder / "verdicts.json", about | {"margin": 0.02, "claims": claims, "checks": checks}
    )


def write_judged(folder: Path, hardware: str, verdict: str | None = None) -> None:
    """Verdicts of the second edition, all of one kind or not run, and who learned."""
    write_json(folder / "seek" / "echo-1.json", {"revision": "0123456789ab"})
    runs = [
        {"arm": arm, "seed": seed, "steps": 3250, "transition_step": 1950, "recall": recall}
        | {"recall_short": "", "spot": 0.9, "learned": True}
        for arm, recall in (("echo", 0.95), ("echo-long", 0.99))
        for seed in SEEDS
    ]
    columns = tables.COLUMNS["learning"]
    write_csv(folder / "findings" / "learning.csv", runs, columns)
    found = {"verdict": verdict or "not run"}
    if verdict:
        found |= FOUND[verdict] | {"n": 128, "seeds": 3}
    claims = {"C0": CLAIM | found | {"unit": "word error rate of the worst arm", "lines": LINES}}
    for name, claim in second.CLAIMS.items():
        about = {"claim": claim.claim, "test": claim.test, "arms": list(claim.arms)}
        claims[name] = about | {"unit": claim.unit, "reason": "It is so."} | found
    checks = {
        name: {"test": check.test, "guards": list(check.guards), "state": "holds"}
        for name, check in checked.CHECKS.items()
    }
    about = {"profile": folder.name, "hardware": hardware, "resamples": 2000, "confidence": 0.95}
    about |= {"margin": 0.02, "of_one_machine": list(second.CLAIMS)}
    write_json(folder / "verdicts.json", about | {"claims": claims, "checks": checks})
