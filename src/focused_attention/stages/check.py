"""Compare fresh results with the committed ones, or with those of another folder; exit with an
error when one changed.

What is said in words must be the same: the verdict on every claim, the state of every check and
which seeds have learned. Training in another arithmetic rounds differently and ends elsewhere, so
numbers have the tolerances of params.yaml.
"""

import argparse
import csv
import io
import json
import logging
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import RESULTS

VERDICTS, LEARNING = "verdicts.json", "findings/learning.csv"
MAY_DIFFER = ("hardware", "revision")

Read = Callable[[str], str]  # the text of a results file, by its path in the profile's folder


def at_head(folder: Path) -> Read:
    """The files of a results folder as git has them at HEAD."""

    def read(name: str) -> str:
        path = folder / name
        shown = subprocess.run(
            ["git", "show", f"HEAD:{path.as_posix()}"], capture_output=True, text=True, check=False
        )
        if shown.returncode:
            raise UserError(f"{path}: not committed, nothing to compare with")
        return shown.stdout

    return read


def on_disk(folder: Path) -> Read:
    def read(name: str) -> str:
        try:
            return (folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"{folder / name}: no such file; run `make reproduce` first") from None

    return read


def compare(old: Read, new: Read, tolerances: Mapping[str, float]) -> list[str]:
    """What changed and what moved further than it may, as lines to read.

    `tolerances` are those of the numbers of every file that is compared; of verdicts.json, those
    are the claims' effects.
    """
    lines = changed(words(old), words(new))
    for name, tolerance in tolerances.items():
        lines += drift(name, old(name), new(name), tolerance)
    return lines


def words(read: Read) -> dict[str, str]:
    """Everything that was decided, by what it is about."""
    judged = json.loads(read(VERDICTS))
    said = {name: claim["verdict"] for name, claim in judged["claims"].items()}
    said |= {f"check {name}": one["state"] for name, one in judged["checks"].items()}
    for row in csv.DictReader(io.StringIO(read(LEARNING))):
        learned = "learned" if row["learned"] == "True" else "not learned"
        said[f"{row['arm']}, seed {row['seed']}"] = learned
    return said


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    pairs = {name: (old.get(name, "absent"), new.get(name, "absent")) for name in {**old, **new}}
    return [f"{name}: {a} became {b}" for name, (a, b) in pairs.items() if a != b]


def cells(name: str, text: str) -> dict[str, object]:
    """Every value of a table or a JSON file by a readable name; of verdicts.json, the effects that
    were found.

    A row is named after its words; of several with the same words, after its place among them too.
    """
    if name == VERDICTS:
        claims = json.loads(text)["claims"]
        return {f"{claim}/effect": of["effect"] for claim, of in claims.items() if "effect" in of}
    if name.endswith(".json"):
        values = flat(json.loads(text), "")
        return {place: v for place, v in values if place.rpartition("/")[2] not in MAY_DIFFER}
    found: dict[str, object] = {}
    seen: Counter[str] = Counter()
    for row in csv.DictReader(io.StringIO(text)):
        named = {k: v for k, v in row.items() if number(v) is None}
        name = "/".join(filter(None, named.values()))
        seen[name] += 1
        place = f"{name}/{seen[name]}" if seen[name] > 1 else name
        for column, value in row.items():
            if column not in named:
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


def drift(file: str, before: str, after: str, tolerance: float) -> list[str]:
    """The values of a file that moved further than they may, as lines to read."""
    old, new = cells(file, before), cells(file, after)
    lines = [f"{file}: {name}: missing" for name in old if name not in new]
    lines += [f"{file}: {name}: new" for name in new if name not in old]
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        if isinstance(a, int | float) and isinstance(b, int | float):
            if abs(a - b) > tolerance:
                lines.append(f"{file}: {name}: {a:g} became {b:g} (tolerance {tolerance:g})")
        elif a != b:
            lines.append(f"{file}: {name}: {a} became {b}")
    return sorted(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="of results; default: what is at HEAD"
    )
    against = parser.parse_args(argv).against
    params = load()
    folder = RESULTS / params.profile
    old = on_disk(against) if against else at_head(folder)
    lines = compare(old, on_disk(folder), params.check)
    for line in lines:
        logging.error(line)
    if lines:
        raise UserError(f"{folder}: {len(lines)} results are not as in {against or 'git at HEAD'}")
    logging.info("%s: as in %s, within the tolerances of params.yaml", folder, against or "git")


if __name__ == "__main__":
    run(main)
