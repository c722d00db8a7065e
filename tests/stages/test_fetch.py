"""Stage fetch: every transport ends with the pinned files, and every failure with nothing."""

import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from focused_attention import corpora
from focused_attention.corpora import archives, asterisk
from focused_attention.errors import UserError
from focused_attention.stages.fetch import fetch, main

FILES = {
    "digits/1.g722": b"\xfa" * 500,
    "vm-goodbye.g722": b"\xdb" * 300,
    "core-sounds-en.txt": b"digits/1: one\nvm-goodbye: Goodbye.\n",
}
RELEASE = "asterisk-core-sounds-en-g722-1.6.1.tar.gz"
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is Debian's")


def tar(file, members):
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def deb(folder, package, members):
    root = folder / package
    for name, content in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "DEBIAN").mkdir(parents=True)
    control = f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\n"
    (root / "DEBIAN" / "control").write_text(control + "Description: test\n")
    file = folder / f"{package}_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", root, file], check=True, capture_output=True)
    shutil.rmtree(root)
    return file


def debs(folder):
    """The miniature corpus as Debian packs it, the list of texts compressed."""
    import gzip

    sounds = "usr/share/asterisk/sounds/en_US_f_Allison"
    audio = {f"{sounds}/{n}": c for n, c in FILES.items() if n.endswith("g722")}
    deb(folder, "asterisk-core-sounds-en-g722", audio)
    texts = gzip.compress(FILES["core-sounds-en.txt"])
    doc = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    deb(folder, "asterisk-core-sounds-en", {doc: texts})


@pytest.fixture
def target(tmp_path, monkeypatch):
    """Where to fetch to; the miniature corpus is what is pinned, and no network is used."""
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(corpora, "checksums", lambda *_: pinned)
    monkeypatch.setattr(asterisk, "RELEASES", (tmp_path / "site").as_uri())
    monkeypatch.setattr(archives, "_from_debian", lambda *_: None)
    for name in (archives.MIRROR, archives.CACHE):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "site").mkdir()
    return tmp_path / "downloads" / "asterisk" / "en"


def contents(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def assert_nothing_left(tmp_path):
    assert not (tmp_path / "downloads").exists()


def test_from_the_release(target, tmp_path):
    tar(tmp_path / "site" / RELEASE, {f"./{n}": c for n, c in FILES.items()} | {"LICENSE": b"-"})
    fetch("asterisk", "en", target)
    assert contents(target) == FILES
    assert [f.name for f in target.parent.iterdir()] == ["en"]


def test_the_second_time_needs_nothing(target, tmp_path):
    archive = tar(tmp_path / "site" / RELEASE, FILES)
    fetch("asterisk", "en", target)
    archive.unlink()
    fetch("asterisk", "en", target)
    assert contents(target) == FILES


def test_an_altered_file_is_fetched_again(target, tmp_path):
    tar(tmp_path / "site" / RELEASE, FILES)
    fetch("asterisk", "en", target)
    (target / "vm-goodbye.g722").write_bytes(b"else")
    (target / "stray.g722").write_bytes(b"more")
    fetch("asterisk", "en", target)
    assert contents(target) == FILES


def test_from_a_mirror_folder(target, tmp_path, monkeypatch):
    tar(tmp_path / RELEASE, FILES)
    monkeypatch.setenv(archives.MIRROR, str(tmp_path))
    fetch("asterisk", "en", target)
    assert contents(target) == FILES


@needs_dpkg
def test_from_a_mirror_of_packages(target, tmp_path, monkeypatch):
    debs(tmp_path)
    monkeypatch.setenv(archives.MIRROR, str(tmp_path))
    fetch("asterisk", "en", target)
    assert contents(target) == FILES


@needs_dpkg
def test_from_debian_without_root_or_package_lists(target, tmp_path, monkeypatch):
    """apt-get is a stand-in that insists on private folders and on an update before a download."""
    monkeypatch.undo()
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(corpora, "checksums", lambda *_: pinned)
    monkeypatch.setenv(archives.CACHE, str(tmp_path / "cache"))
    (tmp_path / "pool").mkdir()
    debs(tmp_path / "pool")
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(
        "#!/bin/sh\n"
        'for word; do case "$word" in Dir::State::lists=*) lists="${word#*=}";; esac; done\n'
        'case "$lists" in "$PWD"/*) ;; *) exit 1;; esac\n'
        "for last; do :; done\n"
        'if [ "$last" = update ]; then touch "$lists/x_Packages"; exit; fi\n'
        f'test -e "$lists/x_Packages" && cp "{tmp_path}/pool/$last"_*.deb .\n'
    )
    apt.chmod(apt.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    fetch("asterisk", "en", target)
    assert contents(target) == FILES

    shutil.rmtree(target)
    apt.write_text("#!/bin/sh\nexit 1\n")
    fetch("asterisk", "en", target)  # from the cache
    assert contents(target) == FILES


def test_no_network_and_no_cache(target, tmp_path):
    with pytest.raises(
        UserError, match=f"cannot download file:.*{RELEASE}.*connect to the network"
    ):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)


def test_a_mirror_without_the_archive(target, tmp_path, monkeypatch):
    monkeypatch.setenv(archives.MIRROR, str(tmp_path))
    with pytest.raises(UserError, match=f"{archives.MIRROR}. holds neither {RELEASE}"):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_truncated_release(target, tmp_path, keep):
    archive = tar(tmp_path / "site" / RELEASE, {n: os.urandom(500) for n in FILES})
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(UserError, match=f"{RELEASE}: truncated or damaged archive .*; nothing"):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)


@needs_dpkg
@pytest.mark.parametrize("keep", [0, 60, 500])
def test_a_truncated_package(target, tmp_path, monkeypatch, keep):
    debs(tmp_path)
    package = tmp_path / "asterisk-core-sounds-en-g722_1_all.deb"
    package.write_bytes(package.read_bytes()[:keep])
    monkeypatch.setenv(archives.MIRROR, str(tmp_path))
    with pytest.raises(
        UserError, match=f"{package}: truncated or damaged archive .*; delete this file"
    ):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"digits/1.g722": b"\xfb" * 500}, r"digits/1\.g722 differs from its pinned SHA-256"),
        ({"new.g722": b"1"}, r"new\.g722 is not a file of this corpus"),
        ({"digits/1.g722": None}, r"digits/1\.g722 is missing"),
    ],
)
def test_an_altered_download(target, tmp_path, change, problem):
    files = {name: content for name, content in (FILES | change).items() if content is not None}
    tar(tmp_path / "site" / RELEASE, files)
    with pytest.raises(UserError, match=f"{RELEASE}: {problem}; nothing was kept"):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("name", ["../evil.g722", "/evil.g722", "digits/../../evil.g722", ".."])
def test_a_member_outside_its_folder(target, tmp_path, name):
    tar(tmp_path / "site" / RELEASE, FILES | {name: b"evil"})
    with pytest.raises(UserError, match="points outside its folder; nothing was kept"):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)
    assert not list(tmp_path.rglob("evil*"))


def test_a_link_instead_of_a_recording(target, tmp_path):
    with tarfile.open(tmp_path / "site" / RELEASE, "w:gz") as archive:
        info = tarfile.TarInfo("digits/1.g722")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(info)
    with pytest.raises(UserError, match=r"digits/1\.g722 points outside"):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)


@pytest.fixture
def languages(target, tmp_path, monkeypatch):
    """Set fetch.corpora of a params.yaml in a new current folder, beside the site."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    monkeypatch.chdir(tmp_path)

    def write(corpora):
        content = params | {"fetch": {"corpora": corpora}}
        Path("params.yaml").write_text(yaml.safe_dump(content))

    return write


def test_what_is_no_longer_asked_for_is_removed(target, tmp_path, languages):
    tar(tmp_path / "site" / RELEASE, FILES)
    (tmp_path / "downloads" / "asterisk" / "fr").mkdir(parents=True)
    languages({"asterisk": ["en"], "fillets": []})
    main([])
    assert contents(tmp_path / "downloads") == {f"asterisk/en/{n}": c for n, c in FILES.items()}
    assert not (tmp_path / "downloads" / "asterisk" / "fr").exists()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"timit": ["en"]}, "unknown corpus 'timit'; known are asterisk, fillets"),
        ({"asterisk": ["en"], "fillets": ["en"]}, "unknown language 'en'; known are cs, nl"),
    ],
)
def test_unknown_wishes_are_refused_before_anything_is_fetched(
    tmp_path, languages, wanted, message
):
    languages(wanted)
    with pytest.raises(UserError, match=message):
        main([])
    assert_nothing_left(tmp_path)


def test_a_full_disk(target, tmp_path, monkeypatch):
    tar(tmp_path / "site" / RELEASE, FILES)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "extract", full)
    with pytest.raises(UserError, match=r"downloads/asterisk/en: could not be written \(No space"):
        fetch("asterisk", "en", target)
    assert_nothing_left(tmp_path)
