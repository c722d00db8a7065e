"""Fish Fillets' dialogues."""

import pytest

from focused_attention.corpora import fillets
from focused_attention.errors import UserError

DIALOGUE = r"""
dialogId("a", "font_small", "What is it?")
dialogStr("Wat is het?")

dialogId("b", "font_big", "A \"fish\".")
dialogStr(
  "Een \"vis\".")

dialogId("only-shown", "font_big", "Hm.")
dialogStr("Hm.")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "sound" / "city" / "nl").mkdir(parents=True)
    (tmp_path / "script" / "city").mkdir(parents=True)
    (tmp_path / "script" / "city" / "dialogs_nl.lua").write_text(DIALOGUE)
    recordings = [f"sound/city/nl/{name}.ogg" for name in "ab"]
    for name in recordings:
        (tmp_path / name).write_bytes(b"OggS")
    monkeypatch.setattr(fillets, "checksums", lambda *_: dict.fromkeys(recordings, ""))
    return tmp_path


def test_reads_lines_with_speaker_and_translation(folder):
    read = [(u.key, u.speaker, u.text, u.translation) for u in fillets.read(folder, "nl")]
    assert read == [
        ("city/a", "small", "Wat is het?", "What is it?"),
        ("city/b", "big", 'Een "vis".', 'A "fish".'),
    ]


def test_a_missing_recording_is_named(folder):
    (folder / "sound/city/nl/a.ogg").unlink()
    with pytest.raises(UserError, match=r"transcript without audio: .*city/a"):
        fillets.read(folder, "nl")


def test_an_unknown_recording_is_named(folder):
    (folder / "sound/city/nl/c.ogg").write_bytes(b"OggS")
    with pytest.raises(UserError, match=r"c\.ogg: audio without transcript"):
        fillets.read(folder, "nl")
