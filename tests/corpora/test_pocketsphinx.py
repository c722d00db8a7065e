"""PocketSphinx's test recordings."""

import pytest

from focused_attention.corpora import pocketsphinx
from focused_attention.errors import UserError

TEXTS = "<s> ten of clubs  </s> (001)\n\n<s> five </s> (002)\n"


@pytest.fixture
def folder(tmp_path):
    for name, text in (("librivox/transcription", "<s> he was </s> (a-01)\n"),
                       ("cards/cards.transcription", TEXTS)):  # fmt: skip
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    for name in ("librivox/a-01", "cards/001", "cards/002"):
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    return tmp_path


def test_reads_both_sets(folder):
    read = [(u.key, u.speaker, u.text, u.translation) for u in pocketsphinx.read(folder, "en")]
    assert read == [
        ("cards/001", "cards", "ten of clubs", None),
        ("cards/002", "cards", "five", None),
        ("librivox/a-01", "librivox", "he was", None),
    ]


def test_a_missing_recording_is_named(folder):
    (folder / "cards/002.wav").unlink()
    with pytest.raises(UserError, match=r"transcript without audio: .*cards/002"):
        pocketsphinx.read(folder, "en")


def test_a_missing_list_and_a_damaged_line_are_named(folder):
    (folder / "cards/cards.transcription").write_text("ten of clubs\n")
    with pytest.raises(UserError, match=r"cards\.transcription: not `<s> text </s> \(name\)`: ten"):
        pocketsphinx.read(folder, "en")
    (folder / "librivox/transcription").unlink()
    with pytest.raises(UserError, match=r"librivox/transcription: cannot be read .*stage fetch"):
        pocketsphinx.read(folder, "en")


@pytest.mark.parametrize(
    "root", ["usr/share/pocketsphinx/test/data", "pocketsphinx-5.0.4/test/data"]
)
def test_what_is_wanted_of_an_archive_is_what_is_pinned(root):
    (archive,) = pocketsphinx.archives("en")
    for name in pocketsphinx.CHECKSUMS["en"]:
        assert archive.wanted.fullmatch(f"{root}/{name}")[1] == name
    for other in (
        "cards/cards.hyp",
        "cards/cards.fileids",
        "goforward.raw",
        "tidigits/tidigits.lsn",
    ):
        assert not archive.wanted.fullmatch(f"{root}/{other}")
