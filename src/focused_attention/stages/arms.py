"""Stage arms: write down what each arm is, for train to depend on."""

import argparse
import shutil

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import load
from focused_attention.paths import ARMS
from focused_attention.runs.arm import check_starts, resolve


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params = load()
    check_starts(params)
    runs = params.runs
    studies = runs.train, runs.vary, runs.seek, runs.adapt
    listed = dict.fromkeys(name for study in studies for name in study.arms)
    resolved = {name: resolve(params, name) for name in listed}
    shutil.rmtree(ARMS, ignore_errors=True)
    for name, arm in resolved.items():
        results.write_json(ARMS / f"{name}.json", arm)


if __name__ == "__main__":
    run(main)
