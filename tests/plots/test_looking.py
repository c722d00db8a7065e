"""Figures of where attention looks, of hidden keys and of word errors: what the tables say."""

import itertools

import numpy as np
import pandas as pd
import pytest

from focused_attention import plots

KEYS = [275, 500, 1475]
LENGTHS = [5.0, 10.0, 29.0]


def looked() -> pd.DataFrame:
    rows = []
    places = [("keys", 5.0, n) for n in KEYS] + [("unpadded", t, 50 * t) for t in LENGTHS]
    places += [("padded", t, 1500) for t in LENGTHS]
    for condition, length, keys in places:
        about = {"model": "tiny.en", "condition": condition, "length": length, "keys": keys}
        heads = [("cross", layer, head) for layer in range(4) for head in range(6)]
        for slot, layer, head in [("cross", "all", "all"), ("uniform", "all", "all"), *heads]:
            row = about | {"slot": slot, "temperature": 1.0, "layer": layer, "head": head}
            row |= {"support_ms": 20 * keys}
            for name, value in (("share", 0.5), ("support", keys), ("silence", keys / 1500)):
                row |= {name: value, f"{name}_low": 0.9 * value, f"{name}_high": 1.1 * value}
            rows.append(row)
        rows.append(rows[-len(heads) - 2] | {"temperature": 2.0, "share": 9.0})  # not drawn
    return pd.DataFrame(rows)


def hidden() -> pd.DataFrame:
    rows = [
        {"model": "tiny.en", "condition": condition, "of": name, "keys": keys,
         "estimate": 1.1, "low": 1.0, "high": 1.2}
        for condition in ("hidden", "keys") for name in ("best", "softest", "softest_nat")
        for keys in KEYS
    ]  # fmt: skip
    return pd.DataFrame([*rows, rows[0] | {"of": "slope of best", "keys": np.nan}])


def written() -> pd.DataFrame:
    rows = []
    for slot, length, heat in itertools.product(("cross", "decoder"), LENGTHS, (0.5, 1.0, 2.0)):
        kinds = {"substitutions": 2.0 * heat, "deletions": 1.0, "insertions": heat}
        total = sum(kinds.values())
        row = {"model": "tiny.en", "slot": slot, "length": length, "temperature": heat}
        row |= {"wer": total, "wer_low": total - 1, "wer_high": total + 2}
        rows.append(row | kinds)
    return pd.DataFrame(rows)


FIGURES = {
    "looking": lambda: plots.looking(looked()),
    "hidden keys": lambda: plots.hidden_keys(hidden()),
    "writing": lambda: plots.writing(written()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_everything_fits_the_page(name, fits):
    fits(FIGURES[name]())


def test_every_head_and_their_mean_are_drawn():
    panels = np.array(plots.looking(looked()).axes).reshape(3, 3)
    for axes in panels.flat:
        assert len(axes.lines) == 24 + 2  # their mean and a uniform row
        assert all(np.max(line.get_ydata()) < 9 for line in axes.lines if axes in panels[0])
    mean = panels[1, 0].containers[0][0]
    assert mean.get_ydata() == pytest.approx(np.array(KEYS) * 0.02)  # seconds


def test_bars_end_at_the_word_error_rate():
    table = written()
    panels = np.array(plots.writing(table).axes).reshape(2, 3)
    for (slot, length), axes in zip(
        itertools.product(("cross", "decoder"), LENGTHS), panels.flat, strict=True
    ):
        part = table[(table["slot"] == slot) & (table["length"] == length)]
        tops = [bar.get_y() + bar.get_height() for bar in axes.containers[2]]
        assert tops == pytest.approx(part["wer"].tolist())


def test_bars_can_be_compared_with_those_of_every_other_panel():
    table = written()
    table.loc[table["slot"] == "cross", ["insertions", "wer", "wer_low", "wer_high"]] *= 10
    panels = plots.writing(table).axes
    assert len({axes.get_ylim() for axes in panels}) == 1
