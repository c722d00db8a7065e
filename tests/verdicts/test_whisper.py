"""Verdicts on curves that are made up: each rule decides as the plan says."""

import numpy as np
import pytest

from focused_attention.verdicts import hearing, whisper
from focused_attention.verdicts.statistics import Difference

HEATS = (0.25, 0.35, 0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0, 2.83, 4.0)
TIMED = whisper.Compared(Difference(-8.0, -12.0, -6.0, 0.001, 1.0), 900)
KEYS = {0.5: 275, 5.0: 500, 24.5: 1475}


def curve(best=0.0, *, bend=0.3, noise=0.01, seed=0, **about):
    """A parabola around log2 T = best for each of 40 recordings."""
    rng = np.random.default_rng(seed)
    centres = best + noise * rng.normal(size=(40, 1))
    losses = 1 + rng.normal(size=(40, 1)) + bend * (np.log2(HEATS) - centres) ** 2
    settings = {
        "model": "tiny.en", "slot": "cross", "layer": "all", "technique": "none",
        "condition": "padded", "length": 29.0, "silence": 1.0, "keys": 1500.0,
        "temperatures": HEATS, "losses": losses, "resamples": 400,
        "prompts": tuple((f"p{i}",) for i in range(40)),
    }  # fmt: skip
    return hearing.Curve(**settings | about)


def study(slope=0.0, best=0.0, **about):
    keys = [
        curve(slope * np.log2(n / 1500), condition="keys", length=5.0, silence=s, keys=float(n))
        for s, n in KEYS.items()
    ]
    single = [
        curve(bend=0.05 + 0.2 * layer, layer=str(layer), length=length)
        for layer in range(4)
        for length in (10.0, 29.0)
    ]
    more = [curve(best, technique="topk cross 16"), curve(condition="exchanged", bend=0.0)]
    return [curve(best, **about), *keys, *single, *more]


def verdicts(*args, **about):
    judged = whisper.judge(study(*args, **about), TIMED, 0.95)
    return {name: claim["verdict"] for name, claim in judged["claims"].items()}, judged


def test_what_is_planted_is_supported():
    found, judged = verdicts(slope=-0.1, best=-0.3)
    assert found.pop("W3") == "less"
    assert {found.pop(name) for name in ("W4", "W6", "W7")} == {"not run"}
    assert set(found.values()) == {"supported"}
    claims = judged["claims"]
    assert claims["W1b"]["effect"] == pytest.approx(-0.1, abs=0.01)
    assert claims["W1a"]["effect"] == pytest.approx(0.3 * ((0.49 - 0.3) ** 2 - 0.3**2), abs=0.01)
    assert all(check["holds"] for check in judged["checks"].values())


def test_the_opposite_is_refuted_and_nothing_is_equivalent():
    found, _ = verdicts(slope=0.1, best=0.5)
    assert found["W1a"] == found["W1b"] == found["W1c"] == found["W5"] == "refuted"
    found, _ = verdicts(slope=0.0, best=-0.246)  # 0.71 is as good as 1
    assert found["W1a"] == found["W1b"] == found["W5"] == "equivalent"


def test_an_interval_that_holds_everything_is_undecided():
    found, _ = verdicts(best=-0.25, noise=0.8)
    assert found["W1a"] == "undecided"


def test_what_was_not_run_is_said_and_counts_in_the_family():
    alone = [c for c in study(best=-0.3) if c.layer == "all" and c.technique == "none"]
    judged = whisper.judge(alone, None, 0.95)
    assert [judged["claims"][name]["verdict"] for name in ("W2", "W3", "W4", "W5")] == [
        "not run"
    ] * 4
    assert "topk cross 16" in judged["claims"]["W5"]["reason"]
    assert judged["claims"]["W1a"]["p_holm"] == pytest.approx(8 * judged["claims"]["W1a"]["p"])


def test_a_text_that_costs_less_when_heated_whoever_said_it_fails_the_check():
    spoiled = [c for c in study() if c.condition != "exchanged"]
    spoiled.append(curve(condition="exchanged"))  # the effect is there without the right text
    judged = whisper.judge(spoiled, TIMED, 0.95)
    assert not judged["checks"]["exchanged"]["holds"]
    assert judged["claims"]["W1a"]["verdict"] == judged["claims"]["W2"]["verdict"] == "not judged"
    assert judged["claims"]["W1b"]["verdict"] != "not judged"


def test_rows_become_the_curves_they_came_from():
    rows = [
        {"condition": "padded", "length": 5.0, "silence": 25.0, "layer": "all",
         "technique": "none", "temperature": t, "keys": 1500.0, "tokens": 9,
         "losses": f"{t:.4f} {2 * t:.4f}"}
        for t in (0.71, 0.84, 1.0, 1.19, 1.41)
    ]  # fmt: skip
    held = [{"length": 5.0, "recording": i, "prompts": "a b"} for i in range(3)]
    (found,) = hearing.curves("tiny.en", "cross", rows, held, 100)
    assert found.losses.shape == (2, 5)
    assert found.drawn[0] == pytest.approx(1.5 * np.array(found.temperatures))
    table = hearing.losses([found], 0.95)
    assert [row["change"] for row in table if row["temperature"] == 1.0] == [0.0]
    assert {row["schedule"] for row in hearing.schedules([found], 0.95)} == {*hearing.SCHEDULES}


@pytest.mark.parametrize(
    ("name", "keys", "expected"),
    [("published-true", 300, 1.01), ("published-false", 300, 0.5), ("sqrt-log", 1500, 1.0),
     ("log", 1500, 1.0), ("log", 1500**0.5, 2.0), ("sqrt-log", 1500**0.25, 2.0)],
)  # fmt: skip
def test_schedules_are_their_formulas(name, keys, expected):
    assert hearing.scheduled(name, keys, 0.0) == pytest.approx(expected)
    with pytest.raises(ValueError, match="unknown 'loud'"):
        hearing.scheduled("loud", keys, 0.0)
