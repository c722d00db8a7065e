"""Compare fresh results with the committed ones; exit with an error on drift.

Tables are compared number by number against the version git has at HEAD. Training on another
processor rounds differently and ends elsewhere, so error rates get a tolerance; counts, arms and
the data must be equal.
"""

import argparse
import csv
import io
import json
import logging
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import RESULTS


def committed(path: Path) -> str:
    """The text of a file as git has it at HEAD. Raises UserError if git does not have it."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:{path.as_posix()}"], capture_output=True, text=True, check=False
    )
    if shown.returncode:
        raise UserError(f"{path}: not committed, nothing to compare with")
    return shown.stdout


def cells(path: Path, text: str) -> dict[str, object]:
    """Every value of a table or a JSON file by a readable name.

    A row is named after its words; of several with the same words, after its place among them too.
    """
    if path.suffix == ".json":
        return dict(flat(json.loads(text), ""))
    found: dict[str, object] = {}
    seen: Counter[str] = Counter()
    for row in csv.DictReader(io.StringIO(text)):
        words = {k: v for k, v in row.items() if number(v) is None}
        name = "/".join(filter(None, words.values()))
        seen[name] += 1
        place = f"{name}/{seen[name]}" if seen[name] > 1 else name
        for column, value in row.items():
            if column not in words:
                found[f"{place}/{column}"] = number(value)
    return found


def flat(value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from flat(item, f"{name}/{key}")
    else:
        yield name, value


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def drift(path: Path, tolerance: float) -> list[str]:
    """The values that moved further than they may, as lines to read."""
    if not path.exists():
        raise UserError(f"{path}: no such file; run `make reproduce` first")
    old, new = cells(path, committed(path)), cells(path, path.read_text(encoding="utf-8"))
    lines = [f"{path}: {name}: missing" for name in old if name not in new]
    lines += [f"{path}: {name}: new" for name in new if name not in old]
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        if isinstance(a, int | float) and isinstance(b, int | float):
            if abs(a - b) > tolerance:
                lines.append(f"{path}: {name}: {a:g} became {b:g} (tolerance {tolerance:g})")
        elif a != b and not name.endswith("hardware"):
            lines.append(f"{path}: {name}: {a} became {b}")
    return sorted(lines)


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params = load()
    folder = RESULTS / params.profile
    lines = []
    for name, tolerance in params.check.items():
        lines += drift(folder / name, tolerance)
    for line in lines:
        logging.error(line)
    if lines:
        raise UserError(f"{folder}: {len(lines)} values drifted from the committed results")
    logging.info("%s: as committed, within the tolerances of params.yaml", folder)


if __name__ == "__main__":
    run(main)
