"""Figures of word times: what is drawn is what the tables say."""

import itertools

import numpy as np
import pandas as pd
import pytest

from focused_attention import plots


def summary() -> pd.DataFrame:
    settings = [(q, 1.0) for q in (0.5, 1.0, 2.0)] + [(1.0, t) for t in (0.71, 1.41)]
    rows = []
    for (q, t), heads, corrected, kind in itertools.product(
        settings, ("published", "chosen"), ("no", "yes"), ("start", "end", "both")
    ):
        row = {"heads": heads, "qk_scale": q, "temperature": t, "corrected": corrected}
        row |= {"kind": kind}
        for name in ("median", "p90", "close", "bias"):
            value = (0.1 if name == "close" else 100.0) * q * t + (heads == "chosen")
            row |= {name: value, f"{name}_low": 0.8 * value, f"{name}_high": 1.2 * value}
        rows.append(row)
    return pd.DataFrame(rows)


def by_head() -> pd.DataFrame:
    table = pd.DataFrame([*itertools.product(range(3), range(4))], columns=["layer", "head"])
    table["test_both"] = np.geomspace(80, 9000, 12)
    table["published"] = [1, 2, *[np.nan] * 10]
    table["chosen"] = [2, np.nan, 1, *[np.nan] * 9]
    return table


FIGURES = {
    "errors": lambda: plots.word_errors(summary(), best=0.9, touching=87.0),
    "close": lambda: plots.word_errors(summary(), measure="close"),
    "heads": lambda: plots.heads_by_error(by_head()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_everything_fits_the_page(name, fits):
    fits(FIGURES[name]())


def test_starts_and_ends_are_drawn_apart_over_both_kinds_of_sharpness():
    scales, heats = FIGURES["errors"]().axes
    lines = {line.get_label(): line for line in heats.lines}
    assert len(scales.lines) == 4 + 1
    assert len(lines) == 4 + 2
    assert [*scales.lines[0].get_xdata()] == [0.5, 1.0, 2.0]
    assert [*scales.lines[0].get_ydata()] == [50, 100, 200]  # of the published heads
    assert [*lines["starts, as told"].get_xdata()] == [0.71, 1.0, 1.41]
    assert {*lines["best temperature for the text"].get_xdata()} == {0.9}
    assert heats.xaxis_inverted()


def test_shares_are_drawn_in_percent():
    scales, heats = FIGURES["close"]().axes
    assert [*scales.lines[0].get_ydata()] == pytest.approx([5, 10, 20])
    assert len(heats.lines) == 4


def test_published_and_chosen_heads_are_framed():
    axes = FIGURES["heads"]().axes[0]
    frames = {}
    for patch in axes.patches:
        centre = (patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2)
        frames.setdefault(patch.get_linestyle(), []).append(centre)
    expected = {"-": [(0, 0), (1, 0)], ":": [(0, 0), (2, 0)]}  # head, layer
    assert frames.keys() == expected.keys()
    for dash, centres in expected.items():
        np.testing.assert_allclose(frames[dash], centres, atol=1e-9)
    assert len(axes.texts) == 12
    assert axes.texts[-1].get_text() == "9.0 s"
