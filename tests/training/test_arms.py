"""What an arm depends on: its own mechanism files and what they import, no other's."""

from focused_attention import attention
from focused_attention.training.arms import files


def test_a_mechanism_depends_on_what_it_imports_all_the_way():
    found = files(attention.names()["hybrid"])
    assert {"sparse/hybrid.py", "layer.py", "focus.py", "windows.py", "base.py"} <= found.keys()


def test_a_mechanism_depends_on_no_other():
    found = files(attention.names()["whisper"])
    assert found.keys() == {"base.py", "softmax/whisper.py"}


def test_the_content_counts_not_the_place():
    first = files(attention.names()["rotary"])
    assert first == files(attention.names()["rotary"])
    assert all(len(digest) == 64 for digest in first.values())
