"""Stage trial: one trial of `trials/` on a published Whisper, named as `tiny.en-writing`.

A cell is written down as soon as it is measured, so a run that is ended goes on where it was.
"""

import argparse
import dataclasses
import importlib
import inspect
import logging
from pathlib import Path

from focused_attention import results, sources, trials
from focused_attention.decoding import published
from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import LOGS, PARAMS, RESULTS
from focused_attention.runs import device
from focused_attention.schema import build
from focused_attention.training.journal import progress

FOLDER = Path(trials.__file__).parent


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a checkpoint and a trial: tiny.en-writing")
    label = parser.parse_args(argv).run
    model, _, name = label.rpartition("-")
    params = load()
    try:
        settings, trial = chosen(name)
    except ValueError as error:
        raise UserError(f"{PARAMS}: runs.trials: {error}") from None
    settings = build(settings, params.trials.get(name), str(PARAMS), f"trials.{name}")
    device.prepare(params.threads, device.NATIVE)
    subject = trials.Subject(name=model, listener=published.listener(model), params=params)
    work = trial(subject, settings)
    cells = list(work.cells())
    code = sources.revision([f"trials/{name}.py"])  # with all that it imports
    journal = trials.Journal(LOGS / params.profile / "trials" / f"{label}.jsonl", {
        "run": label, "settings": dataclasses.asdict(settings), "code": code,
    })  # fmt: skip
    rows = []
    bar = progress(len(cells), 0, f"trial {label}")
    for cell in cells:
        if (found := journal.get(cell)) is None:
            found = journal.keep(cell, work.rows(cell))
        rows += found
        bar.update(1)
    bar.close()
    path = RESULTS / params.profile / "listen" / f"{label}.csv"
    results.write_csv(path, rows)
    logging.info("%s: %d cells, %d rows", path, len(cells), len(rows))


def names() -> dict[str, Path]:
    """Every trial and its file, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("[!_]*.py"))}


def chosen(name: str) -> tuple[type, type[trials.Trial]]:
    """The dataclass of the settings and the class of trial `name`.

    Raises ValueError for an unknown name.
    """
    if name not in names():
        raise ValueError(f"trial: unknown {name!r}; choose one of {', '.join(names())}")
    module = importlib.import_module(f"{trials.__name__}.{name}")
    (cls,) = (
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, trials.Trial) and c.__module__ == module.__name__
    )
    return module.Settings, cls


if __name__ == "__main__":
    run(main)
