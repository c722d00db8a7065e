"""dvc.yaml against the sources: a stage runs again when anything changes that it runs."""

import ast
import inspect
import json
import shlex
from pathlib import Path

import pytest
import yaml

from focused_attention import plots, sources

ROOT = Path(__file__).parents[1]
WRITTEN = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
MODULE = "focused_attention.stages."
PLUMBING = {
    *sources.PLUMBING,
    "results.py",  # reads and writes the files themselves
}
ARM = "build/arms/"  # a file there names each of its arm's files from these rooms with its hash,
NAMED = ("attention/", "regularisers/")  # and no other, so that a newcomer trains nothing again
COMMANDS = {"check", "machine", "transcribe"}  # for people, and no part of the pipeline
LISTINGS = {  # what loads the files of a folder by their names, in which a newcomer may stand
    "measures/__init__.py": "measures",
    "measures/techniques.py": "inference",
    "stages/trial.py": "trials",
}
FACADE = "plots/__init__.py"  # names every drawing function; a notebook draws with a few of them


def written_out(stages: dict) -> dict:
    """The stages with those of every `foreach` one by one, under the names that DVC gives them."""
    found = {}
    for name, stage in stages.items():
        for key, items in stage.get("foreach", {"": ()}).items():
            text = json.dumps(stage.get("do", stage)).replace("${key}", key)
            for place, item in enumerate(items):
                text = text.replace(f"${{item[{place}]}}", item)
            found[f"{name}@{key}" if key else name] = json.loads(text)
    return found


STAGES = written_out(WRITTEN)


def needed(command: str) -> set[str]:
    """The files of the package that a stage's command runs, without the plumbing."""
    words = shlex.split(command)
    stage = words[words.index("-m") + 1].removeprefix(MODULE)
    found = set(sources.closure([f"stages/{stage}.py"]))
    for loader, folder in LISTINGS.items():
        if loader in found:
            files = (sources.PACKAGE / folder).glob("*.py")
            found |= set(sources.closure(f"{folder}/{file.name}" for file in files))
    return found - PLUMBING


def missing(names: set[str], deps: list[str]) -> list[str]:
    """Those of the package's files that no dependency holds."""
    held = [dep.removeprefix("src/focused_attention/") for dep in deps]
    folders = tuple(f"{dep}/" for dep in held)
    return sorted(n for n in names if n not in held and not n.startswith(folders))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_that_it_runs(name):
    stage = STAGES[name]
    lacking = missing(needed(stage["cmd"]), stage["deps"])
    if any(dep.startswith(ARM) for dep in stage["deps"]):
        lacking = [file for file in lacking if not file.startswith(NAMED)]
    assert not lacking, f"dvc.yaml: deps of stage {name}: add {', '.join(lacking)}"


@pytest.mark.parametrize("name", [name for name in STAGES if name.startswith("notebook@")])
def test_a_notebook_depends_on_all_that_it_imports(name):
    stage = STAGES[name]
    (path,) = (dep for dep in stage["deps"] if dep.endswith(".ipynb"))
    cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    lacking = missing(run_by(ast.parse(code)) - PLUMBING, stage["deps"])
    assert not lacking, f"dvc.yaml: deps of stage {name}: add {', '.join(lacking)}"


def test_every_notebook_is_one_of_the_pipeline():
    assert {*WRITTEN["notebook"]["foreach"]} == {p.stem for p in ROOT.glob("notebooks/*.ipynb")}


def run_by(code: ast.Module) -> set[str]:
    """The files of the package that a notebook imports, all the way; of `plots`, what it uses."""
    used = {
        inspect.getfile(getattr(plots, node.attr))
        for node in ast.walk(code)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "plots"
        if callable(getattr(plots, node.attr))
    }
    found, waiting = set(), [*map(Path, used), *sources.named(code)]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(sources.PACKAGE).as_posix()
        if name != FACADE and name not in found:
            found.add(name)
            waiting += sources.imports(path)
    return {name for name in found if sources.has_code(sources.PACKAGE / name)}


def test_every_stage_of_the_package_is_one_of_the_pipeline():
    run = {stage["cmd"].split()[2].removeprefix(MODULE) for stage in STAGES.values()}
    modules = {path.stem for path in (sources.PACKAGE / "stages").glob("[!_]*.py")}
    assert modules - run <= COMMANDS


@pytest.mark.parametrize(
    "lacking", ["speech/audio.py", "decoding/greedy.py", "metrics/error_rates.py"]
)
def test_a_dependency_that_is_forgotten_is_found(lacking):
    held = [dep.removeprefix("src/focused_attention/") for dep in STAGES["train"]["deps"]]
    deps = [dep for dep in held if dep != lacking and not lacking.startswith(f"{dep}/")]
    assert lacking in missing(needed(STAGES["train"]["cmd"]), deps)
