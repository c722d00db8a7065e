"""What a machine made of the profile: its row is added once, and other machines' are left alone."""

from pathlib import Path

from focused_attention.results import read_json, write_json
from focused_attention.stages import machine
from tests.stages.made_up import write_judged


def test_a_machine_has_one_row(house):
    other = {"profile": "pilot", "hardware": "another", "sources": "0", "verdicts": {}}
    write_json(Path("results/machines.json"), {"machines": [other]})
    write_judged(Path("results/pilot"), "this one", verdict="supported")
    for minutes in ("30", "31"):
        machine.main(["--minutes", minutes])
    rows = read_json(Path("results/machines.json"))["machines"]
    assert [row["hardware"] for row in rows] == ["another", "this one"]
    assert rows[0] == other
    assert rows[1]["minutes"] == 31
    assert rows[1]["recalled"] == {"1": 0.95, "2": 0.95, "3": 0.95}
    assert rows[1]["verdicts"]["C1a"] == {
        "verdict": "supported", "effect": 0.07, "low": 0.03, "high": 0.11
    }  # fmt: skip


def test_a_claim_that_was_not_compared_has_no_effect(house):
    machine.main([])
    (row,) = read_json(Path("results/machines.json"))["machines"]
    nothing = {"effect": None, "low": None, "high": None}
    assert row["verdicts"]["C6"] == nothing | {"verdict": "not run"}
    assert row["minutes"] is None


def test_other_sources_are_another_row(house):
    machine.main([])
    seek = Path("results/pilot/seek/echo-1.json")
    seek.write_text(seek.read_text().replace("0123456789ab", "ba9876543210"))
    machine.main([])
    rows = read_json(Path("results/machines.json"))["machines"]
    assert [row["sources"] for row in rows] == ["0123456789ab", "ba9876543210"]
