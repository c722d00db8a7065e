"""Stage first: findings and verdicts of a trial of the first edition, from its committed rows.

    python -m focused_attention.stages.first --profile first

Its runs are over, and its settings stand in profiles/first/: params.yaml has no say.
"""

import argparse

from focused_attention.errors import run
from focused_attention.paths import FIRST
from focused_attention.verdicts.first import trial
from focused_attention.verdicts.first.study import committed


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    known = sorted(path.stem for path in FIRST.glob("*.yaml"))
    parser.add_argument("--profile", required=True, choices=known)
    trial.write(committed(parser.parse_args(argv).profile))


if __name__ == "__main__":
    run(main)
