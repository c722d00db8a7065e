"""The house: imports go one way, from room to room in their order; nothing is too long to read."""

import ast
import re
from pathlib import Path

import pytest

from focused_attention import sources

ROOMS = (  # in the order in which data flows; each knows itself, those before it, and no other
    "corpora", "speech", "tasks", "attention", "models", "regularisers", "inference", "decoding",
    "runs", "training", "metrics", "measures", "trials", "verdicts", "plots", "stages",
)  # fmt: skip
HALL = {
    "__init__.py",
    "errors.py",
    "listening.py",
    "measuring.py",
    "params.py",
    "paths.py",
    "results.py",
    "schema.py",
    "sources.py",
}
FILES = sorted(
    path.relative_to(sources.PACKAGE).as_posix() for path in sources.PACKAGE.rglob("*.py")
)
LIVE = ("attention/", "decoding/", "inference/", "models/", "regularisers/", "runs/", "training/")
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 300, 60
TOO_LONG: dict[str, str] = {}  # file: why


def room(file: str) -> str:
    """The room of a file of the package, or the file itself in the hall, which all may enter."""
    return file.partition("/")[0]


def imported(file: str) -> list[str]:
    """The files of the package that a file imports."""
    paths = sources.imports(sources.PACKAGE / file)
    return [path.relative_to(sources.PACKAGE).as_posix() for path in paths]


def test_every_file_is_in_a_room_or_in_the_hall():
    assert {room(file) for file in FILES} == HALL | set(ROOMS)


def test_the_readme_lists_the_rooms_in_their_order():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `src/focused_attention/(\w+)/`", text, flags=re.MULTILINE)
    assert tuple(listed) == ROOMS


@pytest.mark.parametrize("name", ROOMS)
def test_no_import_runs_back_up(name):
    known = HALL | set(ROOMS[: ROOMS.index(name) + 1])
    files = [file for file in FILES if room(file) == name]
    back = [f"{file}: {other}" for file in files for other in imported(file)
            if room(other) not in known]  # fmt: skip
    assert back == []


def test_the_hall_knows_no_room():
    assert [f for f in FILES if f in HALL for other in imported(f) if other not in HALL] == []


def test_no_import_goes_round():
    waiting = {file: set(imported(file)) - {file} for file in FILES}
    while free := [file for file, others in waiting.items() if not others]:
        waiting = {
            file: others.difference(free) for file, others in waiting.items() if file not in free
        }
    assert sorted(waiting) == []  # these import each other, or what does


def test_a_stage_imports_no_other():
    stages = [file for file in FILES if room(file) == "stages"]
    pairs = [(file, other) for file in stages for other in imported(file)]
    assert [
        pair for pair in pairs if room(pair[1]) == "stages" and pair[1] != "stages/__init__.py"
    ] == []


def test_no_verdict_needs_a_live_model():
    needed = sources.closure(file for file in FILES if room(file) == "verdicts")
    assert [file for file in needed if file.startswith(LIVE)] == []


@pytest.mark.parametrize("file", [file for file in FILES if file not in TOO_LONG])
def test_nothing_is_too_long_to_read(file):
    text = (sources.PACKAGE / file).read_text(encoding="utf-8")
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    lengths = {n.name: n.end_lineno - n.lineno + 1 for n in functions}
    assert text.count("\n") <= LINES_OF_A_FILE
    assert {name: n for name, n in lengths.items() if n > LINES_OF_A_FUNCTION} == {}


@pytest.mark.parametrize("file", TOO_LONG)
def test_what_is_excused_is_too_long(file):
    assert (sources.PACKAGE / file).read_text(encoding="utf-8").count("\n") > LINES_OF_A_FILE
