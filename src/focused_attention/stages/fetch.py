"""Stage fetch: the corpora of params.yaml, downloaded and checked file by file, in downloads/."""

import argparse
import hashlib
import logging
import shutil
import tempfile
from pathlib import Path

from focused_attention import corpora
from focused_attention.corpora import archives
from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import DOWNLOADS

log = logging.getLogger(__name__)


def fetch(corpus: str, language: str, folder: Path) -> None:
    """Have exactly the pinned files in `folder`, or raise and leave it as it was."""
    pinned = corpora.checksums(corpus, language)
    if folder.is_dir() and _difference(folder, pinned) is None:
        log.info("%s: %d files, as pinned", folder, len(pinned))
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        files = {}
        for archive in corpora.load(corpus).archives(language):
            file = files[archive] = archives.obtain(archive, Path(scratch))
            archives.extract(file, archive.wanted, fresh)
        if difference := _difference(fresh, pinned):
            names = ", ".join(dict.fromkeys(str(file) for file in files.values()))
            raise UserError(f"{names}: {difference}; delete the archive and run stage fetch again")
        for file in files.values():
            archives.keep(file)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    log.info("%s: %d files, as pinned", folder, len(pinned))


def _difference(folder: Path, pinned: dict[str, str]) -> str | None:
    """What is wrong with the files of a folder, if anything is."""
    present = {
        file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()
    }
    for name in sorted(pinned.keys() | present.keys()):
        if name not in present:
            return f"{name} is missing"
        if name not in pinned:
            return f"{name} is not a file of this corpus"
        if hashlib.sha256(present[name].read_bytes()).hexdigest() != pinned[name]:
            return f"{name} differs from its pinned SHA-256"
    return None


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    wanted = [
        (corpus, language)
        for corpus, languages in load().fetch.corpora.items()
        if corpora.load(corpus, languages)
        for language in languages
    ]
    for corpus, language in wanted:
        fetch(corpus, language, DOWNLOADS / corpus / language)
    for folder in DOWNLOADS.glob("*/*"):
        if folder.relative_to(DOWNLOADS).parts not in wanted:
            log.info("%s: no longer in params.yaml, removed", folder)
            shutil.rmtree(folder)


if __name__ == "__main__":
    run(main)
