"""Figures of the second trial, on made-up tables."""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from focused_attention import plots
from focused_attention.plots import answers as drawing

HEATS = (0.5, 0.71, 1.0, 1.41, 2.0)
LENGTHS = {4: 13.4, 20: 27.4, 56: 59.3}
SHARES = {"right": 0.6, "swapped": 0.1, "unpaired": 0.1, "unheard": 0.05, "none": 0.15}


@pytest.fixture(autouse=True)
def closed():
    plots.theme()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    places = product(drawing.REGIMES, LENGTHS, drawing.FILLERS, HEATS)
    rows = [
        {"arm": arm, "hay": hay, "seconds": LENGTHS[hay], "filler": filler, "slot": "cross"}
        | {"temperature": heat, "measure": name, "rate": share, "low": share - 0.02}
        | {"high": share + 0.02, "difference": 1 - heat, "difference_low": 0.9 - heat}
        | {"difference_high": 1.1 - heat}
        for arm, hay, filler, heat in places
        for name, share in (SHARES | {"bound": 0.7}).items()
    ]
    return pd.DataFrame(rows)


def test_kinds_of_answers_are_stacked_to_a_hundred(table):
    fig = plots.answer_kinds(table)
    assert len(fig.axes) == len(drawing.REGIMES) * len(LENGTHS)
    for axis in fig.axes:
        bars = [patch for container in axis.containers[:5] for patch in container]
        assert len(bars) == len(SHARES) * len(HEATS)
        tops = {round(bar.get_y() + bar.get_height(), 6) for bar in bars[-len(HEATS) :]}
        assert tops == {100.0}
    assert [axis.get_title(loc="left") for axis in fig.axes[:3]] == ["13 s", "27 s", "59 s"]


def test_lengths_have_a_line_a_filler_and_two_guessers(table):
    fig = plots.answer_lengths(table, {"any heard digit": 1 / 6, "any value of a pair": 1 / 3})
    for axis in fig.axes:
        assert len(axis.containers) == len(drawing.FILLERS)
        levels = [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"]
        assert levels == pytest.approx([100 / 6, 100 / 3])


def test_changes_are_points_against_temperature_one(table):
    fig = plots.answer_changes(table)
    assert len(fig.axes) == len(drawing.REGIMES) * 2
    line = fig.axes[0].lines[0]
    assert line.get_ydata().tolist() == pytest.approx([100 * (1 - heat) for heat in HEATS])
    assert line.get_xdata().tolist() == pytest.approx(np.log2(HEATS).tolist())


def test_effects_have_both_intervals_and_the_margin():
    claim = {"verdict": "supported", "effect": 0.03, "low": 0.01, "high": 0.05}
    claims = {"C0": claim, "C1a": claim | {"model_low": 0.0, "model_high": 0.06}}
    claims |= {"C2": claim | {"verdict": "equivalent", "model_low": None, "model_high": None}}
    claims |= {"C4": {"verdict": "not run", "reason": "none"}}
    fig = plots.effects(claims, 0.02)
    (axis,) = fig.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["C1a", "C2"]
    drawn = [list(line.get_xdata()) for line in axis.lines if line.get_linestyle() == "-"]
    ends = [pytest.approx(ends) for ends in drawn if len(ends) == 2]
    assert all(wanted in ends for wanted in ([1.0, 5.0], [0.0, 6.0]))
    assert len(ends) == 1 + 2 + 1  # zero, both intervals of one claim and one of the other


def test_best_temperatures_leave_the_slope_out():
    rows = [
        {"arm": arm, "filler": filler, "hay": hay, "seconds": seconds, "best": 0.1, "low": 0.0}
        | {"high": 0.2}
        for arm, filler in product(drawing.REGIMES, drawing.FILLERS)
        for hay, seconds in (*LENGTHS.items(), (np.nan, np.nan))
    ]
    fig = plots.best_temperatures(pd.DataFrame(rows))
    for axis in fig.axes:
        assert all(len(container[0].get_xdata()) == len(LENGTHS) for container in axis.containers)


def test_verdicts_in_words_name_what_was_not_run():
    claims = {
        "C0": {}, "C2": {"claim": "It spreads.", "test": "entropy", "unit": "entropy / log n"},
        "C4": {"claim": "It learns.", "test": "accuracy", "unit": "accuracy"},
    }  # fmt: skip
    claims["C2"] |= {"verdict": "supported", "reason": "It does.", "effect": -0.02, "low": -0.03}
    claims["C2"] |= {"high": 0.01, "p_holm": 0.04, "n": 48, "seeds": 10}
    claims["C4"] |= {"verdict": "not run", "reason": "This profile does not train it."}
    told = plots.judged({"claims": claims, "checks": {"hot": {"state": "waits"}}})
    assert "−0.020 [−0.030, 0.010]; p = 0.04 after Holm; n = 48, seeds: 10." in told
    assert "**Not run.** This profile does not train it." in told
    assert told.endswith("Checks: hot: waits.")
