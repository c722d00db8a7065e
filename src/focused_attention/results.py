"""Results as small files: whole or not at all, the same bytes for the same numbers."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from focused_attention.errors import UserError
from focused_attention.paths import PARAMS, RESULTS


def shown(profile: str) -> Path:
    """The results folder of the profile whose findings are shown. Raises UserError without them."""
    folder = RESULTS / profile
    if not (folder / "findings").is_dir():
        there = sorted(path.parent.name for path in RESULTS.glob("*/findings"))
        raise UserError(
            f"{folder}: no findings; get the committed ones with `git checkout {folder}`, or name "
            f"another profile as `findings:` in {PARAMS}, out of: {', '.join(there) or 'none'}"
        )
    return folder


def rounded(value: object, digits: int = 6) -> object:
    """Floats to `digits` significant digits, in nested lists and mappings too."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, Mapping):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    return value


def write_text(path: Path, text: str) -> None:
    """Write a text file whole. Raises UserError when it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{path}: could not be written ({error.strerror}); free some space and run again"
        ) from None


def write_json(path: Path, content: Mapping) -> None:
    write_text(path, json.dumps(rounded(content), indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict:
    """Raises UserError naming the file if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def write_csv(path: Path, rows: Sequence[Mapping], columns: Sequence[str] = ()) -> None:
    """Rows with the same keys as a CSV file with a header; `columns` where there may be no rows."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(columns or rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rounded(row) for row in rows)
    write_text(path, buffer.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Raises UserError naming the file if it is missing."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
