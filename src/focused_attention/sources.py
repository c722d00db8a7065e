"""The package's own sources as data: what a module imports, all the way, and a hash of it.

Neither git nor the place of the clone is asked, so a copy of the same files has the same revision.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parent
PLUMBING = {  # can change no number, only where it is read and written and what is said of it
    "__init__.py": "tells the version",
    "errors.py": "words errors",
    "listening.py": "types settings, as params.py does",
    "measuring.py": "types settings, as params.py does",
    "params.py": "reads params.yaml, whose values are told apart from the code",
    "paths.py": "names files",
    "schema.py": "checks what is read from params.yaml",
    "sources.py": "names sources",
    "stages/__init__.py": "says what is not installed",
}


def imports(path: Path, package: Path = PACKAGE) -> Iterator[Path]:
    """The files of the package's modules that a file imports, see `named`."""
    yield from told(path, package, path.stat().st_mtime_ns)[0]


@lru_cache(maxsize=4096)
def told(path: Path, package: Path, changed: int) -> tuple[tuple[Path, ...], bool]:
    """What a file `changed` at that time imports, and whether there is more in it than a docstring.

    Kept, for a process that trains asks it of the same hundred files at every arm.
    """
    code = ast.parse(path.read_text(encoding="utf-8"))
    match code.body:
        case [] | [ast.Expr(value=ast.Constant())]:
            more = False
        case _:
            more = True
    return tuple(named(code, package)), more


def named(code: ast.Module, package: Path = PACKAGE) -> Iterator[Path]:
    """The files of the package's modules that import statements name, wherever they stand in code.

    `from a import b` names a module `b` of package `a`, where there is one, and `a` itself.
    """
    for node in ast.walk(code):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for top, *parts in (name.split(".") for name in names):
            file = package.joinpath(*parts)
            if top == package.name and parts and file.with_suffix(".py").exists():
                yield file.with_suffix(".py")
            elif top == package.name and (file / "__init__.py").exists():
                yield file / "__init__.py"


def closure(files: Iterable[str], package: Path = PACKAGE) -> list[str]:
    """These files of the package and all that they import, all the way, with the `__init__` of
    every folder on the way; sorted paths below the package. Those without code are left out.
    """
    found: set[Path] = set()
    waiting = [package / file for file in files]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += imports(path, package)
        folders = path.relative_to(package).parents
        waiting += [f for up in folders if (f := package / up / "__init__.py").exists()]
    return sorted(path.relative_to(package).as_posix() for path in found if has_code(path, package))


def has_code(path: Path, package: Path = PACKAGE) -> bool:
    """Whether there is more in a file than a docstring."""
    return told(path, package, path.stat().st_mtime_ns)[1]


def digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def revision(files: Iterable[str], package: Path = PACKAGE) -> str:
    """Twelve digits that change with any source that decides what these files do.

    What decides is their `closure` without `PLUMBING`.
    """
    deciding = [name for name in closure(files, package) if name not in PLUMBING]
    content = "".join(f"{name} {digest(package / name)}\n" for name in deciding)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
