"""Stage traps: measure what the published modules do, for the notebook and the paper's table."""

import argparse
import logging

import torch

from focused_attention.errors import run
from focused_attention.metrics.traps import measure
from focused_attention.params import load
from focused_attention.paths import RESULTS
from focused_attention.results import write_json


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params = load()
    torch.set_num_threads(params.threads)  # the order of a sum is part of its last digits
    path = RESULTS / params.profile / "traps.json"
    write_json(path, {"traps": measure()})
    logging.info("wrote %s", path)


if __name__ == "__main__":
    run(main)
