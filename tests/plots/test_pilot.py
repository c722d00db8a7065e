"""Figures: the same bytes on every run, one look per arm, nothing that a user's settings change."""

import importlib.util
import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from focused_attention import plots
from focused_attention.params import load
from focused_attention.plots.data import mel_bin

ROOT = Path(__file__).parents[2]
ARMS = pd.DataFrame(
    {
        "arm": ["whisper", "echo", "whisper-8", "echo-16", "echo-hybrid", "echo-local", "a", "b"],
        "model": ["whisper", "echo", "whisper", "echo", "echo", "echo", "echo", "echo"],
        "heads": [16, 8, 8, 16, 8, 8, 8, 8],
    }
)

FOCUS = ["span", "temperature", "predictor_grad_norm"]


def train_and_dev(seeds=(1, 2)):
    grid = list(itertools.product(ARMS["arm"][:3], seeds, range(100, 501, 100)))
    train = pd.DataFrame(grid, columns=["arm", "seed", "step"])
    train["loss"] = 100 / train["step"]
    dev = pd.concat(train.assign(task=task, wer=0.5) for task in ("digits", "words"))
    return train, dev


def figures():
    """One figure of every kind, from small tables."""
    rng = np.random.default_rng(0)
    look = plots.styles(ARMS)
    wer = pd.DataFrame(
        [
            {"arm": arm, "task": task, "decoding": "beam"}
            | {"wer": 0.2, "wer_low": 0.1, "wer_high": 0.3}
            for arm in ARMS["arm"]
            for task in ("digits", "words")
        ]
    )
    recordings = pd.DataFrame(
        {"corpus": "asterisk", "language": ["en", "es"] * 20, "seconds": rng.uniform(0.3, 9, 40)}
    )
    recordings["split"] = ["train", "train", "dev", "test"] * 10
    words = pd.DataFrame({"word": ["four", "two"], "start": [3, 20], "end": [15, 40]})
    rows = pd.DataFrame(
        {
            "name": ["speed", "time", "share"],
            "ratio": [3.0, 0.8, 0.01],
            "target": [">= 1.5", "<= 1.0", "<= 0.03"],
            "peer": [1.0, 2.0, None],
        }
    )
    focused = train_and_dev()[0].assign(span=9.0, temperature=0.5, predictor_grad_norm=0.01)
    focused.loc[focused["arm"] == "whisper", FOCUS] = np.nan
    return {
        "spectrogram": lambda: plots.spectrogram(rng.random((47, 20)), words, 0.02),
        "corpus": lambda: plots.corpus(recordings),
        "curves": lambda: plots.curves(*train_and_dev(), look),
        "error_rates": lambda: plots.error_rates(wer, look),
        "ratios": lambda: plots.ratios(rows),
        "time_and_memory": lambda: plots.time_and_memory(timings()),
        "focus": lambda: plots.focus(focused, look),
    }


def timings() -> pd.DataFrame:
    """Plain attention that grows with the square of the length, a window that grows with it."""
    powers = {"whisper": 2.0, "focused": 1.0, "newcomer": 1.5}
    table = pd.DataFrame(
        itertools.product(powers, (500, 1500, 3000, 12000)), columns=["mechanism", "length"]
    )
    table["both_ms"] = table["length"] ** table["mechanism"].map(powers) / 100
    columns = {"forward_ms": 3, "forward_floor_ms": 30, "both_floor_ms": 10, "peak_mib": 2}
    table = table.assign(**{name: table["both_ms"] / part for name, part in columns.items()})
    ratio = table["both_ms"] / (table["length"] ** 2 / 100)
    spread = {"ratio": ratio, "ratio_low": 0.9 * ratio, "ratio_high": 1.2 * ratio}
    return table.assign(rounds=7, **spread)


@pytest.mark.parametrize("name", figures())
def test_saved_figure_has_the_same_bytes_twice(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = []
    for _ in range(2):
        plots.save(figures()[name](), name)
        saved.append(Path(f"paper/figures/{name}.pdf").read_bytes())
    assert saved[0] == saved[1]
    assert b"CreationDate" not in saved[0]
    assert b"Matplotlib" not in saved[0]
    assert [p.name for p in Path("paper/figures").iterdir()] == [f"{name}.pdf"]


@pytest.mark.parametrize("name", figures())
def test_axes_are_labelled_and_fit_the_page(name):
    figure = figures()[name]()
    assert figure.get_size_inches()[0] <= plots.PAGE
    assert any(axes.get_xlabel() for axes in figure.axes)
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_tightbbox().transformed(figure.transFigure.inverted())
        assert box.x0 > -0.01
        assert box.x1 < 1.01
        assert box.y0 > -0.01
        assert box.y1 < 1.01


def test_every_arm_has_a_look_of_its_own():
    look = plots.styles(ARMS)
    assert list(look) == list(ARMS["arm"])
    assert len({(style.colour, style.dash) for style in look.values()}) == len(look)
    assert look["whisper"].label == "Whisper, 16 heads"
    assert look["echo-hybrid"].label == "Echo hybrid"


def test_the_papers_arms_have_a_colour_each():
    arms = load(ROOT / "params.yaml").runs.train.arms
    colours = [look.colour for look in plots.named(arms).values()]
    assert len(set(colours)) == len(arms)
    assert plots.style.GREY not in colours


def test_look_of_an_arm_stays_when_arms_are_added():
    fewer, more = plots.styles(ARMS[:5]), plots.styles(ARMS)
    assert all(more[arm] == style for arm, style in fewer.items())


def test_curves_draw_a_line_per_seed_and_a_bold_mean():
    train, dev = train_and_dev(seeds=(1, 2, 3))
    figure = plots.curves(train, dev, plots.styles(ARMS))
    first = figure.axes[0].lines
    assert len(first) == 3 * (3 + 1)  # arms times seeds and mean
    assert max(line.get_linewidth() for line in first) == mpl.rcParams["lines.linewidth"]


def test_error_rates_are_drawn_in_percent():
    figure = figures()["error_rates"]()
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx([20.0] * len(ARMS))


def test_ratios_of_times_and_of_speeds_both_grow_with_our_speed():
    axes = figures()["ratios"]().axes[0]
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    goals = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "|"]
    assert dots == pytest.approx([3.0, 1.25])
    assert goals == pytest.approx([1.5, 1.0])


def test_a_mechanism_has_the_colour_of_its_arm():
    arms = pd.DataFrame({"arm": ["whisper", "echo-hybrid", "echo-hybrid-published"]})
    arms = plots.styles(arms.assign(model=["whisper", "echo", "echo"], heads=[16, 8, 8]))
    looks = plots.mechanisms(["whisper", "hybrid", "hybrid_published"])
    for (arm, one), (mechanism, other) in zip(arms.items(), looks.items(), strict=True):
        assert (one.colour, one.dash) == (other.colour, other.dash), (arm, mechanism)


def test_growth_is_the_power_of_the_length():
    table = timings()
    assert plots.growth(table, "whisper", (1500, 12000)) == pytest.approx(2.0)
    assert plots.growth(table, "focused", (1500, 9000)) == pytest.approx(1.0)  # 12000 is nearest
    assert np.isnan(plots.growth(table[table["length"] == 500], "focused", (1500, 12000)))


def test_runtime_draws_times_floors_ratios_and_memory():
    figure = figures()["time_and_memory"]()
    times, relative, memory = figure.axes
    assert [len(axes.lines) for axes in (times, relative, memory)] == [3 + 3, 2 + 1, 3]
    assert all(axes.get_xscale() == axes.get_yscale() == "log" for axes in figure.axes)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "plain softmax (2.00)",
        "focused (1.00)",
        "newcomer (1.50)",
        "floor: what is counted",
        "smallest to largest of 7 rounds",
    ]


def test_ratios_of_the_rounds_stand_beside_a_line_at_one():
    relative = figures()["time_and_memory"]().axes[1]
    *drawn, one = relative.lines
    assert set(one.get_ydata()) == {1}
    table = timings()
    for line, bars, name in zip(drawn, relative.collections, ("focused", "newcomer"), strict=True):
        of = table[table["mechanism"] == name]
        assert line.get_ydata() == pytest.approx(of["ratio"])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, of[["ratio_low", "ratio_high"]])


def test_runtime_without_memory_has_no_panel_for_it():
    assert len(plots.time_and_memory(timings().assign(peak_mib=None)).axes) == 2


def test_focus_draws_the_arms_that_have_one_and_shows_a_gradient_of_zero():
    train, _ = train_and_dev(seeds=(1,))
    train = train.assign(span=9.0, temperature=0.5, predictor_grad_norm=0.02)
    train.loc[train["arm"] == "whisper", FOCUS] = np.nan
    train.loc[train["arm"] == "echo", "predictor_grad_norm"] = 0.0
    spans, _, gradients = plots.focus(train, plots.styles(ARMS)).axes
    assert len(spans.lines) == 2
    assert {float(line.get_ydata()[0]) for line in gradients.lines} == {0.0, 0.02}
    assert gradients.get_ylim()[0] < 0


def test_focus_without_focused_arms_says_so():
    train, _ = train_and_dev()
    figure = plots.focus(train, plots.styles(ARMS))
    assert all("no arm" in axes.texts[0].get_text() for axes in figure.axes)


def test_spectrogram_marks_words_at_their_seconds():
    axes = figures()["spectrogram"]().axes[0]
    edges = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert edges == pytest.approx([0.06, 0.3, 0.4, 0.8])
    assert [text.get_text() for text in axes.texts] == ["four", "two"]


def test_mel_bins_are_those_of_the_filterbank():
    whisper = importlib.util.find_spec("whisper")
    if whisper is None:
        pytest.skip("openai-whisper is not installed")
    filters = np.load(Path(whisper.origin).parent / "assets" / "mel_filters.npz")["mel_80"]
    centres = filters.argmax(axis=1) * 8000 / (filters.shape[1] - 1)  # Hz, to within a bin
    hertz = np.array([1000.0, 2000.0, 4000.0])
    expected = [np.abs(centres - h).argmin() for h in hertz]
    np.testing.assert_allclose(mel_bin(hertz, 80), expected, atol=1.0)


def test_theme_ignores_a_users_settings():
    mpl.rcParams["axes.facecolor"] = "red"
    plots.theme()
    assert mpl.rcParams["axes.facecolor"] == "white"


def test_start_finds_the_root_from_the_notebooks_folder(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    plots.start()
    assert Path.cwd() == tmp_path
