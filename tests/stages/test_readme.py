"""README: its tables are the results' tables, and nothing else is touched."""

import shutil
from pathlib import Path

import pytest

from focused_attention.errors import UserError
from focused_attention.params import load
from focused_attention.results import write_csv, write_json
from focused_attention.stages import machine, readme
from focused_attention.verdicts.variants import COLUMNS
from tests.stages.made_up import write_judged

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


def test_what_whisper_was_asked_stands_first(house):
    Path("README.md").write_text(TEXT)
    asked = {"question": "Is it so?", "test": "this less that", "unit": "nats"}
    told = {"verdict": "refuted", "effect": 0.01234, "low": -0.001, "high": 0.02, "n": 100}
    points = {"unit": "points", "effect": 4.5454, "low": -6.927, "high": 16.33}
    claims = {"W1a": asked | told, "W2": asked | {"verdict": "not run"}}
    claims["W4"] = asked | told | points
    judged = {"confidence": 0.95, "claims": claims}
    write_json(Path("results/full/heard.json"), judged)
    readme.main([])
    text = Path("README.md").read_text()
    assert text.index("| W1a |") < text.index("| arm | heads |")
    row = "| W1a | Is it so? | this less that | +0.012 [−0.001, 0.020] nats | 100 | **refuted** |"
    assert row in text
    assert "| +4.5 [−6.9, 16.3] points | 100 | **refuted** |" in text
    assert "| W2 | Is it so? | this less that | – | – | not run |" in text


def test_the_verdicts_stand_below_the_error_rates(house):
    Path("README.md").write_text(TEXT)
    readme.main([])
    text = Path("README.md").read_text()
    assert text.index("| `echo` |") < text.index("| C0 |") < text.index("| C6 |")
    assert "Profile `pilot`, computed on: a made-up processor" in text
    assert "The published hybrid takes 2.00 to 2.00 times as long" in text


def test_other_machines_stand_below_without_those_of_the_first_edition(house):
    Path("README.md").write_text(TEXT)
    supported = {name: {"verdict": "supported"} for name in ("C2", "C3")}
    gated = {"profile": "pilot", "hardware": "a desk", "sources": "abcdef012345", "minutes": 29}
    gated |= {"recalled": {"4": 0.98, "5": 0.6}, "gate": False, "verdicts": supported}
    write_json(Path("results/machines.json"), {"machines": [gated]})
    machine.main(["--minutes", "30"])
    readme.main([])
    text = Path("README.md").read_text()
    assert "a desk" not in text
    row = "| a made-up processor, 2 threads | `012345` | 30 | 95, 95, 95 | not run | not run |"
    assert row in text.split("everything made anew for each row")[1]


def test_what_every_mechanism_makes_of_the_error_rate_stands_below_the_verdicts(house):
    Path("README.md").write_text(TEXT)
    rates = {"words_wer": 0.5, "seeds": 1, "entropy": 0.971}
    change = {"slot": "focus", "difference": -0.0123, "low": -0.02, "high": 0.001, "p_holm": 0.2}
    rows = [
        {"arm": "echo", "difference": 0.01},
        {"arm": "echo-more", **rates},
        {"arm": "vary-sigmoid", "mechanism": "sigmoid", "family": "softmax", **change},
        {"arm": "vary-entmax", "mechanism": "entmax", "family": "softmax", **rates, **change}
        | {"difference": -0.03, "p_holm": 0.01},
    ]
    table = [dict.fromkeys(COLUMNS, "") | row for row in rows]
    write_csv(Path("results/pilot/tables/variants.csv"), table, COLUMNS)
    readme.main([])
    text = Path("README.md").read_text()
    first, second = text.index("| `vary-entmax` | softmax |"), text.index("| `vary-sigmoid` |")
    assert text.index("| `echo` | 8 |") < text.index("| C6 |") < first < second
    (row,) = (line for line in text.splitlines() if line.startswith("| `vary-entmax`"))
    assert "such that a row sums to one" in row
    assert row.endswith("| −3.0 [−2.0, 0.1]\\* | 0.97 |")
    assert "| −1.2 [−2.0, 0.1] | – |" in text
    assert "Trained `echo` goes on" in text
    assert "(50.0 %, entropy 0.97)" in text


@pytest.mark.parametrize(
    ("verdict", "cells"),
    [
        ("equivalent", "| +0.1 [−1.0, 1.2] | 128 × 3 | **equivalent**† |"),
        ("supported", "| +7.0 [3.0, 11.0] | 128 × 3 | **supported**† |"),
        (None, "| not compared | – | **not run**† |"),
    ],
)
def test_the_verdicts_are_those_of_the_profile_that_is_named(house, verdict, cells):
    Path("README.md").write_text(TEXT)
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("findings: pilot", "findings: full"))
    write_judged(Path("results/full"), "another desk", verdict=verdict)
    readme.main([])
    text = Path("README.md").read_text()
    assert text.count(cells) >= 7  # all but C2, an entropy, and C0, a rate
    assert text.index("| C1a |") < text.index("| C6 |")
    assert "Profile `full`, computed on: another desk" in text
    if verdict:
        assert f"{verdict.capitalize()}: C0, C1a, C1b, C1c, C2, C3, C4, C5, C6." in text


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
    if not Path("results/pilot/verdicts.json").exists():
        pytest.skip("no results yet")
    assert readme.insert(text, readme.results("pilot", load().findings)) == text
