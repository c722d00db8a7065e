"""Getting a corpus' archives, and taking files out of them without trusting them.

An archive is looked for, in this order, in

1. the folder `FOCUSED_ATTENTION_MIRROR`, where one is named: nothing else is asked then;
2. the folder `FOCUSED_ATTENTION_CACHE`, where one is named: archives are also kept there;
3. Debian's archive, where `apt-get` and `dpkg-deb` exist: neither root nor a fresh package list
   is needed, because apt gets private folders;
4. the project's own release, by HTTPS.

Whatever the transport, a file counts only by its pinned SHA-256, so none of them is trusted.
"""

import gzip
import logging
import lzma
import os
import posixpath
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from focused_attention.errors import UserError

MIRROR = "FOCUSED_ATTENTION_MIRROR"
CACHE = "FOCUSED_ATTENTION_CACHE"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """One archive, as Debian and as its makers publish it, and what is wanted from it."""

    package: str  # Debian's package, "asterisk-core-sounds-en-g722"
    release: str  # URL of the upstream release
    wanted: re.Pattern[str]  # matches a wanted member; its group is the path to keep it at

    @property
    def file(self) -> str:
        return self.release.rsplit("/", 1)[-1]


def obtain(archive: Archive, folder: Path) -> Path:
    """The archive as a file, from the first place that has it; downloads go to `folder`."""
    if mirror := os.environ.get(MIRROR):
        if found := _look(archive, Path(mirror)):
            return found
        raise UserError(
            f"{mirror} ({MIRROR}) holds neither {archive.file} nor {archive.package}_*.deb; "
            f"put one there, or unset {MIRROR}"
        )
    cache = os.environ.get(CACHE)
    if cache and (found := _look(archive, Path(cache))):
        return found
    return _from_debian(archive, folder) or _from_release(archive, folder)


def keep(file: Path) -> None:
    """Keep a verified archive in the cache folder, where one is named."""
    if os.environ.get(MIRROR) or not (cache := os.environ.get(CACHE)):
        return
    kept = Path(cache) / file.name
    if file != kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, partial := kept.with_name(f".{kept.name}.{os.getpid()}"))
        partial.replace(kept)


def _look(archive: Archive, folder: Path) -> Path | None:
    packages = sorted(folder.glob(f"{archive.package}_*.deb")) if shutil.which("dpkg-deb") else []
    return next((file for file in [folder / archive.file, *packages] if file.is_file()), None)


def _from_debian(archive: Archive, folder: Path) -> Path | None:
    """`apt-get download` without root; None where that is not possible."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    log.info("downloading %s from the Debian archive", archive.package)
    state = folder.resolve() / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    apt = [
        "apt-get",
        "-q",
        *("-o", f"Dir::State={state}"),
        *("-o", f"Dir::State::lists={state / 'lists'}"),
        *("-o", f"Dir::Cache={state}"),
        *("-o", "APT::Sandbox::User="),  # private folders are not open to the _apt user
        *("-o", "Acquire::Languages=none"),
    ]
    if not list((state / "lists").glob("*_Packages*")):
        _try([*apt, "update"], folder)
    if not _try([*apt, "download", archive.package], folder):
        return None
    return _look(archive, folder)


def _try(command: list[str], folder: Path) -> bool:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        log.debug("%s: %s", " ".join(command), done.stderr.strip())
    return done.returncode == 0


def _from_release(archive: Archive, folder: Path) -> Path:
    file = folder / archive.file
    if file.exists():  # two archives of Debian are one release
        return file
    log.info("downloading %s", archive.release)
    try:
        with urllib.request.urlopen(archive.release, timeout=60) as answer, file.open("wb") as out:
            shutil.copyfileobj(answer, out)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"cannot download {archive.release} ({reason}); connect to the network, or put "
            f"{archive.file} into a folder and name that folder in {MIRROR}"
        ) from error
    return file


def extract(file: Path, wanted: re.Pattern[str], folder: Path) -> None:
    """Write the wanted files of an archive into `folder`; text files lose their gzip."""
    try:
        with _opened(file) as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                match = wanted.fullmatch(name)
                link = match and (member.issym() or member.islnk())
                if link or name.startswith(("../", "/")) or name == "..":
                    raise rejected(file, f"its member {member.name} points outside its folder")
                if not match or not member.isfile():
                    continue
                content = archive.extractfile(member).read()
                if name.endswith(".gz"):
                    content = gzip.decompress(content)
                target = folder / match[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        reason = " ".join(str(error).split())
        raise rejected(file, f"truncated or damaged archive ({reason})") from error


def rejected(file: Path, problem: str) -> UserError:
    """The error for an archive that is not what was published, with its cure."""
    kept = [Path(folder) for name in (MIRROR, CACHE) if (folder := os.environ.get(name))]
    if file.parent in kept:
        return UserError(f"{file}: {problem}; delete this file and run stage fetch again")
    return UserError(f"{file.name}: {problem}; nothing was kept, run stage fetch again")


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    """The files of a .deb or of a tar archive, read as a stream."""
    if file.suffix != ".deb":
        with tarfile.open(file, "r:*") as archive:
            yield archive
        return
    with tempfile.TemporaryFile() as errors:
        command = ["dpkg-deb", "--fsys-tarfile", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                yield archive
            process.stdout.read()
        if process.returncode:
            errors.seek(0)
            raise tarfile.ReadError(errors.read().decode(errors="replace").strip())
