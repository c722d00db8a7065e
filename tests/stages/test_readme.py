"""README: its table is the results' table, and nothing else is touched."""

import shutil
from pathlib import Path

import pytest

from focused_attention.errors import UserError
from focused_attention.stages import readme

ROOT = Path(__file__).parents[2]
TEXT = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"


def test_the_table_goes_between_the_markers(house):
    Path("README.md").write_text(TEXT)
    readme.main([])
    first = Path("README.md").read_text()
    assert first.startswith(f"before\n{readme.BEGIN}\n\n| arm | heads | parameters | digit strings")
    assert first.endswith(f"\n\n{readme.END}\nafter\n")
    assert "| `echo` | 8 | 700,008 |" in first
    assert "a made-up processor" in first
    readme.main([])
    assert Path("README.md").read_text() == first


def test_a_smoke_run_shows_no_results(house):
    Path("README.md").write_text(TEXT)
    params = Path("params.yaml").read_text().replace("profile: pilot", "profile: smoke")
    Path("params.yaml").write_text(params)
    readme.main([])
    assert Path("README.md").read_text() == TEXT


def test_missing_markers_are_an_error(house):
    Path("README.md").write_text("nothing")
    with pytest.raises(UserError, match=r"README\.md: expected one line"):
        readme.main([])
    assert Path("README.md").read_text() == "nothing"


def test_missing_results_are_an_error(house):
    Path("README.md").write_text(TEXT)
    shutil.rmtree("results/pilot")
    with pytest.raises(UserError, match=r"results/pilot/tables/\w+\.csv: no such file"):
        readme.main([])


def test_committed_readme_shows_the_committed_results(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = Path("README.md").read_text()
    if not Path("results/pilot/tables/wer.csv").exists():
        pytest.skip("no results yet")
    assert readme.insert(text, readme.table("pilot")) == text
