"""Figures of the second trial on planted tables: what they show, and what they say is missing."""

import numpy as np
import pandas as pd
import pytest

from focused_attention import plots
from focused_attention.metrics import sharpness
from focused_attention.plots import haystack
from focused_attention.plots.regimes import FILLERS, REGIMES, UNMEASURED
from focused_attention.verdicts import uniform
from focused_attention.verdicts.tables import COLUMNS
from tests.plots import second
from tests.plots.drawn import fits, markers, saved_twice
from tests.plots.second import HEATS, LENGTHS, PROMPTS, SHARES

NAMES = list(second.figures())


@pytest.fixture(scope="module")
def table():
    return second.answers()


def drawn(name: str) -> list:
    return second.figures()[name]().axes


@pytest.mark.parametrize("name", NAMES)
def test_axes_are_labelled_and_fit_the_page(name):
    fits(second.figures()[name]())


@pytest.mark.parametrize("name", NAMES)
def test_saved_figure_has_the_same_bytes_twice(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert saved_twice(second.figures()[name])


@pytest.mark.parametrize("name", ["answers", "slopes", "temperatures"])
def test_planted_columns_are_those_of_the_findings(name):
    assert set(second.TABLES[name]().columns) <= set(COLUMNS[name])


def test_planted_uniformity_has_the_columns_of_the_findings():
    assert set(second.uniformity().columns) == set(uniform.COLUMNS)


@pytest.mark.parametrize("empty", [pd.DataFrame(), pd.DataFrame(columns=["arm", "slot", "hay"])])
def test_what_was_not_measured_is_said(empty):
    figures = [
        plots.best_temperatures(empty),
        plots.sparsity_topk(empty, {}),
        plots.schedule_slopes(empty, empty, {}, 12.5),
        plots.schedule_learned(empty, empty, {}),
        plots.schedule_learned(second.temperatures(), empty, {}),
        plots.encoder_windows(empty),
        plots.encoder_swapped(empty),
        plots.entropy_heads(empty.iloc[:0]),
        plots.effects({"C0": {"effect": 1.0}, "C4": {"verdict": "not run"}}, 0.02),
    ]
    told = [[text.get_text() for axes in fig.axes for text in axes.texts] for fig in figures]
    assert told == [[UNMEASURED]] * len(figures)


def test_a_table_that_is_not_there_has_no_rows(tmp_path):
    (tmp_path / "findings").mkdir()
    second.slopes().to_csv(tmp_path / "findings" / "slopes.csv", index=False)
    assert plots.finding(tmp_path, "windows").empty
    assert len(plots.finding(tmp_path, "slopes")) == len(second.slopes())


def test_kinds_of_answers_are_stacked_to_a_hundred(table):
    axes = plots.answer_kinds(table).axes
    assert len(axes) == len(REGIMES) * len(LENGTHS)
    for axis in axes:
        bars = [patch for container in axis.containers[:5] for patch in container]
        assert len(bars) == len(SHARES) * len(HEATS)
        tops = {round(bar.get_y() + bar.get_height(), 6) for bar in bars[-len(HEATS) :]}
        assert tops == {100.0}
    assert [axis.get_title(loc="left") for axis in axes[:3]] == ["13 s", "27 s", "59 s"]


def test_lengths_have_a_line_a_filler_and_two_guessers():
    for axis in drawn("answer_lengths"):
        assert len(axis.containers) == len(FILLERS)
        levels = [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"]
        assert levels == pytest.approx([100 / 6, 100 / 3])


def test_changes_are_points_against_temperature_one():
    axes = drawn("answer_changes")
    assert len(axes) == len(REGIMES) * 2
    line = axes[0].lines[0]
    assert line.get_ydata().tolist() == pytest.approx([100 * (1 - heat) for heat in HEATS])
    assert line.get_xdata().tolist() == pytest.approx(np.log2(HEATS).tolist())


def test_best_temperatures_leave_the_slope_out_and_are_hollow_where_they_are_cut_short():
    for axis in drawn("best_temperatures"):
        assert all(len(container[0].get_xdata()) == len(LENGTHS) for container in axis.containers)
        hollow = [line for line in axis.lines if line.get_markerfacecolor() == "white"]
        places = [x for line in hollow for x in line.get_xdata()]
        cut = np.log2([LENGTHS[20], LENGTHS[56]])  # an end, and an interval that reaches one
        expected = [*cut] * 3 * len(FILLERS)  # of three temperatures
        assert places == pytest.approx(expected, abs=0.2)


def test_effects_have_both_intervals_and_the_margin():
    (axis,) = drawn("effects")
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["C1a", "C1b", "C1c", "C2", "C3", "C5", "C6"]  # C4 was not run
    lines = [list(line.get_xdata()) for line in axis.lines if line.get_linestyle() == "-"]
    ends = [pytest.approx(ends) for ends in lines if len(ends) == 2]
    assert all(wanted in ends for wanted in ([1.0, 5.0], [0.0, 6.0], [-3.0, 5.0]))
    assert len(ends) == 1 + 2 * 6 + 1  # zero, both intervals of six claims and one of C2


def test_spotting_is_shown_by_prompts_and_in_parts_among_the_most():
    exact, parts, places = drawn("spotted")[:3]
    assert [len(axis.containers) for axis in (exact, parts, places)] == [len(PROMPTS), 2, 3]
    assert parts.get_title(loc="left") == "digits, among 12 prompts"


def test_what_sharpening_changes_is_split_in_four():
    found = plots.split(second.answers(), second.spotting(), 0.71)
    assert list(found.columns) == ["at 1", "at 0.71", "change", "low", "high"]
    for regime in REGIMES.values():
        of = found.loc[regime]
        assert list(of.index) == ["answering", "binding", "finding", "precision"]
        # 15 % answer with no digit, 29 points more of them than at 1; the interval turns over
        assert of.loc["answering"].tolist() == pytest.approx([114.0, 85.0, -29.0, -39.0, -19.0])
        assert of.loc["finding"].tolist() == pytest.approx([72.0, 70.0, -2.0, -5.0, 1.0])
    assert plots.split(second.answers(), second.spotting(), 0.7).empty


def test_heads_that_become_uniform_lie_above_the_diagonal():
    for axis in drawn("entropy_heads"):
        first, other = (line for line in axis.lines if line.get_label().startswith("layer"))
        assert first.get_ydata() == pytest.approx(first.get_xdata())
        assert (other.get_ydata() > other.get_xdata() + 0.4).all()
        assert len(first.get_xdata()) == 2 * 4  # seeds and heads


def test_collapse_begins_where_the_metric_says():
    assert haystack.COLLAPSED == sharpness.COLLAPSED


def test_entropy_at_temperature_one_is_drawn_among_words_and_in_silence():
    for axis in drawn("entropy_length"):
        dashed = [line for line in axis.lines if "silence" in line.get_label()]
        (thick,) = (line for line in axis.lines if "as trained" in line.get_label())
        assert [line.get_ydata().tolist() for line in dashed] == [
            pytest.approx(thick.get_ydata().tolist())  # planted alike
        ]


def test_all_weights_kept_stand_at_the_right_end():
    for axis in drawn("sparsity_topk"):
        lines = markers(axis)
        assert len(lines) == len(HEATS)
        assert all(line.get_xdata().tolist() == [1, 8, 64, 128] for line in lines)
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "8", "64", "all"]


def test_verdicts_in_words_name_what_was_not_run_and_what_guards():
    told = plots.judged(second.verdicts(), "C2", "C4")
    assert "−0.020 [−0.030, 0.050]; p = 0.04 after Holm; n = 128, seeds: 10." in told
    assert "**Not run.** So it is." in told
    assert told.endswith("Checks: entropy: holds.")
    assert plots.judged(second.verdicts(), "C5").endswith("Checks: hot long: waits.")
    assert "Checks" not in plots.judged(second.verdicts(), "C3")
    with pytest.raises(ValueError, match="given 'C1'"):
        plots.judged(second.verdicts(), "C1")


def test_a_verdict_says_from_where_an_effect_starts_and_what_could_be_found():
    verdicts = second.verdicts()
    power = {"detectable": 0.031, "found": 0.45, "equivalent": 0.6}
    verdicts["claims"]["C1a"] |= {"base": 0.66, "power": power}
    told = plots.judged(verdicts, "C1a")
    assert "Accuracy: 3.0 points [1.0, 5.0] from 66.0; p = 0.04" in told
    assert "an effect of 3.1 points is found in 80 % of such trials" in told
    assert "one as large as the margin in 45 %, and that there is none is shown in 60 %." in told
    verdicts["claims"]["C1a"] |= {"power": power | {"detectable": 0.0}}  # nothing varies
    assert "Power" not in plots.judged(verdicts, "C1a")
