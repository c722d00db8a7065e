"""Stage fetch: the corpora of params.yaml, downloaded and checked file by file, in downloads/."""

import argparse
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    if not folder.is_dir() or difference(folder, pinned):
        with scratch_beside(folder) as scratch:
            download(corpus, language, pinned, scratch)
            if folder.exists():
                shutil.rmtree(folder)
            (scratch / "fresh").rename(folder)
    log.info("%s: %d files, as pinned", folder, len(pinned))


@contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """A temporary folder on the same disk; an error leaves nothing behind and gets one line."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise UserError(
            f"{folder}: could not be written ({error.strerror}); free some space and run again"
        ) from error
    finally:
        for empty in (folder.parent, folder.parent.parent):
            with suppress(OSError):  # not empty
                empty.rmdir()


def download(corpus: str, language: str, pinned: dict[str, str], scratch: Path) -> None:
    """Make `scratch/fresh`, and check it before anything is kept."""
    files = []
    for archive in corpora.load(corpus).archives(language):
        files.append(archives.obtain(archive, scratch))
        archives.extract(files[-1], archive.wanted, scratch / "fresh")
    if problem := difference(scratch / "fresh", pinned):
        raise archives.rejected(files[0], problem)
    for file in files:
        archives.keep(file)


def difference(folder: Path, pinned: dict[str, str]) -> str | None:
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
    wanted, params = [], load()
    for asked in (params.fetch.corpora, params.listen.corpora):
        for corpus, languages in asked.items():
            corpora.load(corpus, languages)
            wanted += [(corpus, language) for language in languages]
    wanted = list(dict.fromkeys(wanted))
    for corpus, language in wanted:
        fetch(corpus, language, DOWNLOADS / corpus / language)
    for folder in DOWNLOADS.glob("*/*"):
        if folder.relative_to(DOWNLOADS).parts not in wanted:
            log.info("%s: no longer in params.yaml, removed", folder)
            shutil.rmtree(folder)


if __name__ == "__main__":
    run(main)
