"""Note what this machine made of the profile, beside what other machines made of it.

    python -m focused_attention.stages.machine --minutes 31

Sums in floating point depend on the processor where the arithmetic is native, and on the order of
operations in the sources. After `make reproduce`, this adds the machine's row to
results/machines.json, or replaces that of the same sources: what every seed of plain Echo recalls,
and every verdict. No stage of the pipeline: its results are those of the machine it runs on.
"""

import argparse
import logging

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import load
from focused_attention.paths import MACHINES, RESULTS
from focused_attention.verdicts.readers import PLAIN


def row(profile: str, minutes: float | None) -> dict:
    """{profile, hardware, sources, minutes, recalled, wer, verdicts} of this clone."""
    folder = RESULTS / profile
    judged = results.read_json(folder / "verdicts.json")
    trained = results.read_json(min((folder / "seek").glob(f"{PLAIN}-[0-9]*.json")))
    wer: dict[str, dict[str, float]] = {}
    for read in results.read_csv(folder / "tables" / "wer.csv"):
        if read["decoding"] == "beam":  # of several languages, that over all comes first
            wer.setdefault(read["task"], {}).setdefault(read["arm"], float(read["wer"]))
    recalled = {
        run["seed"]: float(run["recall"] or 0)
        for run in results.read_csv(folder / "findings" / "learning.csv")
        if run["arm"] == PLAIN
    }
    return {
        "profile": profile,
        "hardware": judged["hardware"],
        "sources": trained["revision"],
        "minutes": minutes,
        "recalled": recalled,
        "wer": wer,
        "verdicts": {
            name: {key: claim.get(key) for key in ("verdict", "effect", "low", "high")}
            for name, claim in judged["claims"].items()
        },
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, help="what `make reproduce` took")
    minutes = parser.parse_args(argv).minutes
    ours = row(load().profile, minutes)
    known = results.read_json(MACHINES)["machines"] if MACHINES.exists() else []
    place = ("profile", "hardware", "sources")
    others = [other for other in known if any(other.get(key) != ours[key] for key in place)]
    results.write_json(MACHINES, {"machines": [*others, ours]})
    logging.info("%s: %s", MACHINES, ours["hardware"])


if __name__ == "__main__":
    run(main)
