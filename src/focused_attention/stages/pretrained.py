"""Stage pretrained: the published checkpoints that other stages listen with, as pinned.

What is there and as pinned is kept; nothing else is left in the folder.
"""

import argparse
import shutil

from focused_attention.corpora import checkpoints
from focused_attention.errors import run
from focused_attention.params import load
from focused_attention.paths import CHECKPOINT_FILES


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args(argv)
    wanted = load().listen.models
    for name in wanted:
        checkpoints.fetch(name, CHECKPOINT_FILES)
    CHECKPOINT_FILES.mkdir(exist_ok=True)
    for other in CHECKPOINT_FILES.iterdir():
        if other.name not in wanted:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


if __name__ == "__main__":
    run(main)
