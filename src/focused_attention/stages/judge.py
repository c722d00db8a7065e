"""Stage judge: the tables of what was found, and the verdict on every claim of the source."""

import argparse
from dataclasses import asdict

from focused_attention.errors import run
from focused_attention.params import load
from focused_attention.paths import PARAMS
from focused_attention.verdicts.first import trial
from focused_attention.verdicts.first.study import study


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    trial.write(study(asdict(load()), str(PARAMS)))


if __name__ == "__main__":
    run(main)
