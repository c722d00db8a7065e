"""The import closure of a module, and the revision: what it changes with, and what not."""

import ast
import shutil

import pytest

from focused_attention import sources

TRAIN = ["stages/train.py", "attention/softmax/rotary.py"]  # a stage, and what an arm uses


@pytest.fixture
def copy(tmp_path):
    """The package in another place."""
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(sources.PACKAGE, tmp_path / sources.PACKAGE.name, ignore=ignored)


def test_imports_are_found_wherever_they_stand(tmp_path):
    package = tmp_path / "house"
    for name, text in {
        "__init__.py": "",
        "a.py": "import math\n\ndef f():\n    from house.rooms import attic\n    return attic",
        "rooms/__init__.py": '"""Rooms."""',
        "rooms/attic.py": "import house.rooms.cellar as below\nfrom house.b import f",
        "rooms/cellar.py": "x = 1",
        "b.py": "def f(): ...",
        "c.py": "from house import a",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    expected = ["a.py", "b.py", "rooms/attic.py", "rooms/cellar.py"]
    assert sources.closure(["a.py"], package) == expected
    assert sources.closure(["c.py"], package) == sorted(["c.py", *expected])
    (package / "rooms/__init__.py").write_text("import house.c")  # runs when a room is imported
    assert {"c.py", "rooms/__init__.py"} <= set(sources.closure(["a.py"], package))


def test_no_import_of_the_package_is_relative():
    for path in sources.PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        assert not [n for n in nodes if isinstance(n, ast.ImportFrom) and n.level], path


def test_the_revision_does_not_depend_on_the_place(copy):
    assert sources.revision(TRAIN, copy) == sources.revision(TRAIN)


@pytest.mark.parametrize(
    "name",
    [
        "training/loop.py", "runs/session.py", "tasks/compose.py", "models/skeleton.py",
        "attention/base.py", "attention/softmax/rotary.py", "stages/train.py", "results.py",
    ],
)  # fmt: skip
def test_a_byte_of_what_decides_changes_the_revision(copy, name):
    before = sources.revision(TRAIN, copy)
    with (copy / name).open("a") as file:
        file.write("#")
    assert sources.revision(TRAIN, copy) != before


@pytest.mark.parametrize(
    "name",
    [
        "attention/sparse/local.py", "attention/softmax/whisper.py", "plots/style.py",
        "stages/seek.py", "verdicts/statistics.py", "paths.py",
    ],
)  # fmt: skip
def test_what_decides_nothing_leaves_the_revision(copy, name):
    before = sources.revision(TRAIN, copy)
    with (copy / name).open("a") as file:
        file.write("#")
    assert sources.revision(TRAIN, copy) == before


def test_plumbing_exists():
    assert [name for name in sources.PLUMBING if not (sources.PACKAGE / name).exists()] == []
