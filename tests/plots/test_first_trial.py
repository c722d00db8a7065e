"""Figures of the first trial, of one arm and one seed, or many; its verdicts in words."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from focused_attention import params, plots
from focused_attention.plots.example import roles_of
from focused_attention.plots.first_optimum import log_length, published
from tests.plots.drawn import fits, markers, saved_twice
from tests.plots.first import (
    ARMS,
    CHANCE,
    EXAMPLE,
    HEATS,
    MANY,
    ONE,
    ROWS,
    figures,
    replicated,
    verdicts,
)

ROOT = Path(__file__).parents[2]
GUESSES = ["guesses a digit: 10 %", "guesses a heard digit: 40 %"]
NAMES = list(figures(ONE))
TABLES = ["accuracy", "optimum", "guesses", "spotting", "by_seed"]


@pytest.mark.parametrize("tables", [MANY, ONE], ids=["many", "one"])
@pytest.mark.parametrize("name", NAMES)
def test_axes_are_labelled_and_fit_the_page(name, tables):
    fits(figures(tables)[name]())


@pytest.mark.parametrize("name", NAMES)
def test_saved_figure_has_the_same_bytes_twice(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert saved_twice(figures(ONE)[name])


@pytest.mark.parametrize("name", NAMES)
def test_empty_tables_are_drawn_as_named_panels_without_data(name):
    empty = {table: getattr(ONE, table).iloc[:0] for table in TABLES}
    figure = figures(SimpleNamespace(arms=ONE.arms, **empty))[name]()
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert panels
    for axes in panels:
        names = [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        assert any([*names, *axes.texts])
        points = [line.get_xydata() for line in axes.lines if line.get_marker() in ("o", "s", "^")]
        assert not [xy for xy in points if np.isfinite(xy).any()]
        assert not axes.images
        assert not [c for c in axes.collections if len(c.get_paths()) and np.size(c.get_offsets())]


def test_every_arm_has_a_look_and_a_label_of_its_own():
    look = plots.named(ARMS)
    assert len({(style.colour, style.dash) for style in look.values()}) == len(look)
    assert len({style.label for style in look.values()}) == len(look)
    assert look["echo"].label == "Echo"
    assert look["echo-cross-learned-span"].label == "Echo cross, learned from span"
    weaker = plots.named(["echo", "echo-cross-true-0.1"])["echo-cross-true-0.1"]
    assert weaker.label == "Echo cross, sharpen longer, 0.1"


def test_every_arm_is_drawn_with_its_interval():
    figure = figures(MANY)["first_grid"]()
    longest = MANY.accuracy.query("temperature == 1 and slot == 'cross' and hay == 75")
    recall = figure.axes[0]
    drawn = [float(dot.get_xdata()[0]) for dot in markers(recall)]
    assert sorted(drawn) == pytest.approx(sorted(100 * longest["rate"]))
    widths = [np.ptp(line.get_xdata()) for line in recall.lines if line.get_marker() == "None"]
    assert widths == pytest.approx([7.0] * len(ARMS))
    assert {text.get_text() for text in recall.get_yticklabels()} >= {
        "Echo", "cross: sharpen longer, scale 0.5", "cross: sharpen shorter, scale 0.5",
        "cross: off", "cross: log length", "encoder: sharpen longer, scale 0.5",
    }  # fmt: skip


def test_arms_that_did_not_learn_are_hollow():
    settings = plots.settings(ROWS)
    look = plots.named(ARMS)
    figure = plots.first_grid(MANY.accuracy, settings, look, untrained={"echo-cross-off"})
    hollow = [dot for dot in markers(figure.axes[0]) if dot.get_markerfacecolor() == "white"]
    assert [dot.get_color() for dot in hollow] == [look["echo-cross-off"].colour]


def test_optimum_has_intervals_and_schedules_on_the_grid():
    figure = figures(MANY)["first_optimum"]()
    assert len(figure.axes) == 6
    for axes in figure.axes:
        assert axes.get_yscale() == "log"
        low, high = axes.get_ylim()
        assert low < 0.25 < 4.0 < high
        best, on_edge = markers(axes)
        assert set(on_edge.get_ydata()) <= {0.25, 4.0}
        (bars,) = axes.collections
        for x, y, bar in zip(*best.get_data(), bars.get_segments(), strict=True):
            assert bar[:, 0] == pytest.approx([x, x])
            assert bar[0, 1] <= y <= bar[1, 1]
        curves = {line.get_label(): line.get_ydata() for line in axes.lines}
        assert curves["sharpen_longer true"][[0, -1]] == pytest.approx([1.01, 1.0])
        assert curves["sharpen_longer false"][[0, -1]] == pytest.approx([0.5, 0.51])
        assert (np.diff(curves["log length"]) < 0).all()


def test_ends_on_the_edge_of_the_grid_are_open():
    optimum = ONE.optimum.query("task == 'recall' and slot == 'cross'").head(3).copy()
    optimum["temperature"], optimum["low"], optimum["high"] = (
        [0.25, 1.0, 2.0], [0.25, 0.5, 0.25], [0.5, 1.41, 4.0],
    )  # fmt: skip
    figure = plots.first_optimum(optimum, plots.named(["echo"]), {}, 12.5, HEATS)
    (axes,) = figure.axes
    x = markers(axes)[0].get_xdata()
    down, up, (_, on_edge) = markers(axes, "v"), markers(axes, "^"), markers(axes)
    assert [list(line.get_xdata()) for line in (*down, *up, on_edge)] == [
        [x[0], x[2]], [x[2]], [x[0]],
    ]  # fmt: skip
    assert all(y < 0.25 for y in down[0].get_ydata())
    assert all(y > 4 for y in up[0].get_ydata())
    assert {line.get_markerfacecolor() for line in (*down, *up, on_edge)} == {"white"}
    narrow = plots.first_optimum(optimum, plots.named(["echo"]), {}, 12.5, [0.1, 8.0])
    assert not [line for line in markers(narrow.axes[0], "v") if len(line.get_xdata())]
    for drawn in (figure, narrow):
        (legend,) = drawn.legends
        assert sum("grid's edge" in text.get_text() for text in legend.get_texts()) == 2


def test_schedules_are_those_of_the_focus():
    torch = pytest.importorskip("torch")
    from focused_attention.attention.focus import Focus, FocusConfig
    from focused_attention.attention.view import View

    values, mask = torch.zeros(1, 2, 40, 4), torch.ones(1, 40, dtype=torch.bool)
    view = View(x=torch.zeros(1, 40, 8), T=40, S=40, mask=mask)
    for longer in (True, False):
        focus = Focus(FocusConfig(sharpen_longer=longer), 8, 2)
        torch.nn.init.zeros_(focus.predictor.bias)  # a share of one half
        found = focus.predict(values, view).temperature
        assert found.flatten()[0].item() == pytest.approx(published(np.array(0.5), longer))
    focus = Focus(FocusConfig(schedule="log_length", train_length=100, max_span=400), 8, 2)
    found = focus.predict(values, view).temperature
    assert found.flatten()[0].item() == pytest.approx(log_length(np.array(40.0), 100.0))


def test_train_length_of_the_schedule_is_where_it_is_one():
    look = plots.named(["echo"])
    for length, expected in ((None, 10.4), (float("nan"), 10.4), (250.0, 20.0)):
        figure = plots.first_optimum(
            ONE.optimum, look, {"recall": 10.4}, 12.5, HEATS, train_length=length
        )
        (line,) = (x for x in figure.axes[0].lines if x.get_label() == "log length")
        assert np.interp(-1.0, -line.get_ydata()[::1], line.get_xdata()) == pytest.approx(
            expected, abs=0.1
        )


def test_settings_are_read_from_the_papers_own_arms():
    arms = params.load(ROOT / "params.yaml").arms
    table = plots.settings({name: asdict(arm) for name, arm in arms.items()}).set_index("arm")
    assert table.loc["echo", "slot"] == ""
    assert tuple(table.loc["echo-cross-off", ["slot", "schedule"]]) == ("cross", "off")
    for name, schedule in (("true", "sharpen longer"), ("false", "sharpen shorter")):
        row = table.loc[f"echo-cross-{name}"]
        assert (row["slot"], row["schedule"], row["temp_scale"]) == ("cross", schedule, 0.5)
        assert np.isnan(row["max_span"])
    local = table.loc["echo-hybrid-true"]
    assert (local["slot"], local["max_span"]) == ("local branch", 16)


def test_every_seed_is_drawn_and_those_that_did_not_learn_are_hollow():
    table = replicated(MANY.by_seed)
    fig = plots.replication_seeds(table, 0.02, 8, {("first", "2"), ("replication", "3")})
    recall, spot, few = fig.axes
    assert [t.get_text() for t in few.get_xticklabels()] == 2 * ["1", "2", "3", "all"]
    for axes, profiles in ((recall, 2), (spot, 1), (few, 2)):
        dots, averages = markers(axes), markers(axes, "D")
        assert (len(dots), len(averages)) == (3 * profiles, profiles)
        hollow = [line for line in dots if line.get_markerfacecolor() == "white"]
        assert len(hollow) == profiles
    assert markers(recall)[0].get_ydata()[0] == pytest.approx(100 * 0.0005 * 75)


def test_what_is_not_judged_is_shown_as_it_is():
    table = plots.replication_verdicts({"first": verdicts()}, ("C1", "C5", "C6"))
    assert list(table["verdict"]) == ["supported", "not judged", "not judged"]
    assert table.loc[("C5", "first"), "effect"] == 0.012
    assert np.isnan(table.loc[("C6", "first"), "effect"])


@pytest.mark.parametrize(
    "name",
    ["first_length", "replication_guesses"],
)
def test_both_guessers_have_their_lines_and_names(name):
    figure = figures(ONE)[name]()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts() if "guess" in text.get_text()] == GUESSES
    heights = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_label() in GUESSES]
    assert heights == [10.0, 40.0]


def test_small_multiples_compare_every_arm_with_the_first():
    look = plots.named(ARMS)
    figure = plots.first_length(MANY.accuracy, look, {}, CHANCE, plots.missed(MANY.learning))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 2 * len(ARMS)
    titles = [axes.get_title().replace("\n", ", ") for axes in shown if axes.get_title()]
    assert titles == [style.label for style in look.values()]
    again = [axes for axes in shown if "Echo, again" in (line.get_label() for line in axes.lines)]
    assert len(again) == 2 * (len(ARMS) - 1)
    hollow = [axes for axes in shown if markers(axes)[0].get_markerfacecolor() == "white"]
    assert [axes.get_title() for axes in hollow] == ["Whisper", ""]
    recall, spot = shown[0], shown[5]
    assert recall.get_ylim()[0] == 0
    lowest = MANY.accuracy.query("task == 'spot' and temperature == 1")["low"].min()
    assert spot.get_ylim()[0] == 10 * np.floor(10 * lowest) > 0


def test_what_is_spotted_is_shown_in_parts_at_the_longest():
    rates, amount = figures(ONE)["first_parts"]().axes
    longest = ONE.spotting.query("hay == 12").set_index("measure")
    assert rates.get_title() == "spot, 43.9 s"
    for line, measure in zip(rates.lines, ("precision", "recall", "f1"), strict=False):
        assert line.get_ydata() == pytest.approx(100 * longest.loc[measure, "rate"])
    assert amount.lines[0].get_ydata() == pytest.approx(longest.loc["written", "rate"])


def test_an_example_shows_words_weights_and_digits():
    figure = plots.example(EXAMPLE)
    figure.draw_without_rendering()
    panels = figure.axes
    assert [axes.get_title() for axes in panels[1::2]] == [
        "writes “two”, right",
        "writes “nine”, wrong",
    ]
    assert [text.get_text() for text in panels[0].texts] == ["may", "nine", "star", "june", "two"]
    weights = [axes.patches[0].get_data().values for axes in panels[::2]]
    np.testing.assert_allclose(weights, [[10, 10, 80], [40, 30, 30]])
    roles = roles_of(EXAMPLE["words"], "june", "two")
    assert roles == ["word", "digit", "word", "key", "value"]
    with pytest.raises(ValueError, match="expected 'six' after 'june', given 'two'"):
        plots.example(EXAMPLE | {"value": "six"})


def test_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="expected one of echo, given 'echo-16'"):
        plots.first_parts(ONE.spotting, "echo-16")


def test_training_reaches_between_the_lengths_measured():
    reach = plots.reach(ONE.accuracy, {"recall": 8, "spot": 2, "other": 1})
    assert reach == pytest.approx({"recall": 10.4, "spot": (6.1 + 12.8) / 2})


def test_verdicts_are_words():
    text = plots.verdict(verdicts(), "C1", "C2", "C3", "C4")
    one, two, three, four = text.split("\n\n")
    assert "Supported.** It is above. Accuracy: 4.7 points [3.1, 6.2]; p = 0.006" in one
    assert "Entropy / log n: −0.200 [0.031, 0.062]" in two
    assert "1.6 points either way; 900 utterances would halve it." in three
    assert four.endswith("**Undecided.** Not trained.")
    assert "In parts: precision 1.0 points [−2.0, 4.0]; digits written for each asked 20.0" in three
    hot, exchanged, entropy = plots.checks(verdicts()).splitlines()
    rule = "with a bound of 2 points, the next plan's rule:"
    assert hot == f"- check hot: holds; guards C1, C5; {rule} holds (intervals of 99 %)"
    assert exchanged.startswith("- check exchanged: **fails**")
    assert exchanged.endswith(f"{rule} waits for more (intervals of 99 %)")
    assert entropy == "- check entropy: not measured; guards C1, C5"
    assert "In parts" not in plots.verdict(verdicts(), "C0")
    five = plots.verdict(verdicts(), "C5")
    assert "decides nothing: Accuracy: 1.2 points [−5.0, 7.0]; 256 utterances, seeds: 3." in five
    with pytest.raises(ValueError, match="given 'C9'"):
        plots.verdict(verdicts(), "C9")
