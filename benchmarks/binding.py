"""Does plain Echo bind a value to its key with every seed, in every arithmetic?

    python benchmarks/binding.py --seeds 11 12 13 14 15 --kinds avx512 avx2 default two-threads

Rounding is a random effect in the rate of learning: with the first trial's recipe, whether a seed
bound in time was luck. Stage seek trains every seed of every kind of arithmetic in a folder of its
own; the row is what it recalls of the dev values of the largest training size in the end. Seeds of
the canonical arithmetic are those of the finished profile `full`. With `--steps` a seed is given
more time than the recipe has. Rows that are there are kept, so that the command can be given again.
Writes results/binding.json.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from focused_attention import results
from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import FEATURES, PARAMS, RESULTS
from focused_attention.runs import device

OUTPUT = RESULTS / "binding.json"
BOUND = 0.95  # share of the dev values that are recalled by a seed that binds
ARM, PROFILE = "echo", "full"
KINDS = {  # of arithmetic: variables, and threads
    "avx512": ({}, 1),  # or whatever the processor has
    "avx2": ({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}, 1),
    "default": ({"ATEN_CPU_CAPABILITY": "default"}, 1),
    "onednn": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, 1),
    "two-threads": ({}, 2),
}


def trained(seed: int, kind: str, steps: int) -> dict:
    """What a seed recalls that is trained in a kind of arithmetic for so many steps."""
    variables, threads = KINDS[kind]
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8")) | {"threads": threads}
    params["seek"] |= {"arithmetic": device.NATIVE, "steps": steps}
    known = {key: value for key, value in os.environ.items() if key not in device.VARIABLES}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / PARAMS.name).write_text(yaml.safe_dump(params), encoding="utf-8")
        (folder / FEATURES).symlink_to(FEATURES.resolve())
        command = [sys.executable, "-m", "focused_attention.stages.seek", ARM, "--seed", str(seed)]
        done = subprocess.run(
            command, cwd=folder, env=known | variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UserError(f"seed {seed}, {kind}: {done.stderr.strip().splitlines()[-1]}")
        return row(folder / RESULTS / params["profile"] / "seek", seed, kind)


def row(folder: Path, seed: int, kind: str) -> dict:
    """{arithmetic, seed, recall, binds, hardware} of a run whose results lie in a folder."""
    about = results.read_json(folder / f"{ARM}-{seed}.json")
    dev = [r for r in results.read_csv(folder / f"{ARM}-{seed}-dev.csv") if r["task"] == "recall"]
    recall = float(dev[-1]["first_word"])
    return {
        "arithmetic": kind, "seed": seed, "steps": about["steps"], "recall": recall,
        "binds": recall >= BOUND, "hardware": about["hardware"],
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=[])
    parser.add_argument("--steps", type=int, help="default: the recipe's")
    args = parser.parse_args(argv)
    recipe = load().seek.steps
    steps = args.steps or recipe
    kept = results.read_json(OUTPUT)["rows"] if OUTPUT.exists() else []
    rows = {place(r): r for r in kept if r["arithmetic"] != device.CANONICAL}
    for path in sorted((RESULTS / PROFILE / "seek").glob(f"{ARM}-[0-9]*.json")):
        found = row(path.parent, int(path.stem.removeprefix(f"{ARM}-")), device.CANONICAL)
        rows[place(found)] = found
    for seed in args.seeds:
        for kind in args.kinds:
            if (steps, kind, seed) not in rows:
                rows[steps, kind, seed] = trained(seed, kind, steps)
                logging.info("%s %d: %.3f", kind, seed, rows[steps, kind, seed]["recall"])
                write(rows, recipe)
    write(rows, recipe)


def place(row: dict) -> tuple[int, str, int]:
    return row["steps"], row["arithmetic"], row["seed"]


def write(rows: dict[tuple[int, str, int], dict], recipe: int) -> None:
    """All rows, and of those of the recipe's steps how many bind, and seeds that do in all."""
    ordered = [rows[place] for place in sorted(rows)]
    counted = [r for r in ordered if r["steps"] == recipe]
    seeds = {r["seed"] for r in counted}
    total = {
        "bound": BOUND, "steps": recipe, "combinations": len(counted),
        "bind": sum(r["binds"] for r in counted), "seeds": len(seeds),
        "seeds_bind": len(seeds - {r["seed"] for r in counted if not r["binds"]}),
    }  # fmt: skip
    results.write_json(OUTPUT, total | {"rows": ordered})


if __name__ == "__main__":
    run(main)
