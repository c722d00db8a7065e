"""The corpora: one file each, named as in `params.yaml`.

A corpus module has

- `LANGUAGES`, the languages that can be asked for;
- `archives(language) -> list[Archive]`, where its files come from and which are kept in
  `downloads/<corpus>/<language>/`;
- `read(folder, language) -> list[Utterance]`, what was said in every recording.

The files that must come out are pinned in `checksums/<corpus>-<language>.sha256`, or, where there
are few, in the module: `CHECKSUMS`, by language and path.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from focused_attention.errors import UserError

_HERE = Path(__file__).parent
_NOT_CORPORA = {"__init__", "archives", "checkpoints", "manifest"}


def names() -> list[str]:
    return sorted(file.stem for file in _HERE.glob("*.py") if file.stem not in _NOT_CORPORA)


def load(name: str, languages: tuple[str, ...] | list[str] = ()) -> ModuleType:
    """The module of corpus `name`, after checking that it has all of `languages`."""
    if name not in names():
        raise UserError(
            f"params.yaml: fetch.corpora: unknown corpus '{name}'; known are {', '.join(names())}"
        )
    corpus = import_module(f"{__name__}.{name}")
    for language in languages:
        if language not in corpus.LANGUAGES:
            raise UserError(
                f"params.yaml: fetch.corpora.{name}: unknown language '{language}'; "
                f"known are {', '.join(corpus.LANGUAGES)}"
            )
    return corpus


def checksums(name: str, language: str) -> dict[str, str]:
    """path -> SHA-256 of every file of a corpus in one language (sha256sum's format)."""
    if pinned := getattr(load(name), "CHECKSUMS", {}).get(language):
        return pinned
    lines = (_HERE / "checksums" / f"{name}-{language}.sha256").read_text("utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
