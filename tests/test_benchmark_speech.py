"""The speech benchmark runs on small models and reports every promised row."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def speech():
    spec = importlib.util.spec_from_file_location("speech", ROOT / "benchmarks" / "speech.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_rows_are_complete_and_the_outputs_agree(speech, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no feature store here
    rows = speech.rows(quick=True)
    assert [row["name"].split(",")[0] for row in rows] == [
        "forward",
        "clip of 5 s",
        *["greedy decoding"] * 4,
        "log-mel features",
        *["training step"] * 2,
    ]
    keys = {"name", "ours", "peer", "peer_version", "unit", "ratio", "target", "holds"}
    assert all(row.keys() == keys for row in rows)


def test_a_ratio_says_what_its_target_says(speech):
    slow = speech.slower_than("a", 1.0, (2.0, 1.0), "torch")
    assert (slow["ours"], slow["peer"], slow["ratio"], slow["holds"]) == (2000, 1000, 2.0, False)
    fast = speech.faster_than("b", 1.5, (1.0, 2.0), "torch", 10, "tokens/s")
    assert (fast["ours"], fast["peer"], fast["ratio"], fast["holds"]) == (10, 5, 2.0, True)


def test_ours_and_the_peer_are_measured_in_turns(speech):
    order = []
    speech.in_turns(lambda: order.append("A"), lambda: order.append("B"), rounds=2)
    assert "".join(order) == "ABABAB"
