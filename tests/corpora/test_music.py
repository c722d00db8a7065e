"""The music on hold: every piece, and no text."""

import pytest

from focused_attention.corpora import music
from focused_attention.corpora.manifest import normalise
from focused_attention.errors import UserError

MEMBERS = [
    "usr/share/asterisk/moh/macroform-cold_day.g722",  # as Debian packs it
    "macroform-cold_day.g722",  # as it is released
]


@pytest.fixture
def folder(tmp_path):
    for name in music.CHECKSUMS["zxx"]:
        (tmp_path / name).write_bytes(b"\0" * 400)
    return tmp_path


def test_every_piece_is_read_and_nobody_speaks(folder):
    read = music.read(folder, "zxx")
    assert [u.path.name for u in read] == sorted(music.CHECKSUMS["zxx"])
    assert {u.id.rsplit("/", 1)[0] for u in read} == {"music/zxx"}
    assert not any(normalise(u.text) or u.translation or u.speaker for u in read)


def test_a_missing_piece_is_named(folder):
    (folder / "reno_project-system.g722").unlink()
    with pytest.raises(UserError, match="no recording of reno_project-system; run stage fetch"):
        music.read(folder, "zxx")


def test_an_unknown_piece_is_named(folder):
    (folder / "elevator.g722").write_bytes(b"\0")
    with pytest.raises(UserError, match=r"elevator\.g722: audio without transcript"):
        music.read(folder, "zxx")


@pytest.mark.parametrize("member", MEMBERS)
def test_pieces_are_kept_by_name_from_either_archive(member):
    (archive,) = music.archives("zxx")
    assert archive.wanted.fullmatch(member)[1] == "macroform-cold_day.g722"
    assert not archive.wanted.fullmatch("usr/share/doc/asterisk-moh-opsound-g722/copyright")
