"""Asterisk's lists of texts."""

import pytest

from focused_attention.corpora import asterisk
from focused_attention.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Spanish as it is published, in miniature: mistakes included."""
    (tmp_path / "digits").mkdir()
    for key in ("digits/0", "digits/10", "digits/1F", "beep", "vm-goodbye", "dir-first"):
        (tmp_path / f"{key}.g722").write_bytes(b"\0" * 400)
    lines = ["; comment", "digits/0: diez", "digits/0: cero", "digits/1f: una", "vm-goodbye: Adios"]
    (tmp_path / "core-sounds-es.txt").write_text("\ufeff" + "\n".join([*lines, "beep: (beep)"]))
    (tmp_path / "core-sounds-en.txt").write_text("vm-goodbye: Goodbye.\ndigits/0: zero\n")
    return tmp_path


def test_reads_texts_and_translations(folder):
    read = {u.key: (u.text, u.translation) for u in asterisk.read(folder, "es")}
    assert read == {
        "beep": ("(beep)", None),
        "digits/0": ("cero", "zero"),
        "digits/10": ("diez", None),
        "digits/1F": ("una", None),
        "dir-first": ("", None),
        "vm-goodbye": ("Adios", "Goodbye."),
    }


def test_a_missing_recording_is_named(folder):
    (folder / "vm-goodbye.g722").unlink()
    with pytest.raises(UserError, match=r"transcript without audio: .*vm-goodbye"):
        asterisk.read(folder, "es")


def test_an_unknown_recording_is_named(folder):
    (folder / "vm-hello.g722").write_bytes(b"\0")
    with pytest.raises(UserError, match=r"vm-hello\.g722: audio without transcript"):
        asterisk.read(folder, "es")


def test_a_missing_list_is_named(folder):
    (folder / "core-sounds-en.txt").unlink()
    with pytest.raises(UserError, match=r"core-sounds-en\.txt: cannot be read"):
        asterisk.read(folder, "es")


def test_two_texts_for_one_key(folder):
    with (folder / "core-sounds-es.txt").open("a") as file:
        file.write("\nbeep: [tono]\n")
    with pytest.raises(UserError, match="two texts for beep"):
        asterisk.read(folder, "es")
