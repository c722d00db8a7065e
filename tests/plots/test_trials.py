"""Figures of the module, of other languages and of what is written where nobody speaks."""

import numpy as np
import pandas as pd
import pytest

from focused_attention import plots

ENDS = {"low": -0.1, "high": 0.1}
ARMS = ("tiny-en", "tiny-en-hybrid-published", "tiny-en-focused-learned")


def adapted(*more: dict) -> pd.DataFrame:
    """Rows of a table of the module: every arm as taken over and adapted, and `more` of them."""
    rows = [
        {"state": state, "arm": arm, "loss_change": change}
        for state, change in (("untrained", 6.7), ("adapted", -0.3)) for arm in ARMS
    ]  # fmt: skip
    places = [("unpadded", 5.0), ("padded", 5.0), ("padded", 29.0)]
    about = {"model": "tiny.en", "seed": "all"}
    whole = [
        about | {"condition": condition, "length": length} | row
        | {f"loss_change_{end}": row["loss_change"] + by for end, by in ENDS.items()}
        for row in [*rows, *more] for condition, length in places
    ]  # fmt: skip
    return pd.DataFrame([*whole, {"model": "tiny.en", "arm": "refused", "note": "cannot"}])


def silent() -> pd.DataFrame:
    """Rows of a table of clips in which nobody speaks: temperatures, heads, three of them."""

    def row(share: float, **more) -> dict:
        row = {"model": "tiny.en", "kind": "all", "times": "yes", "heads": "", "chosen": ""}
        for name, value in {
            "share": share,
            "kept": share / 4,
            "share_change": share - 0.65,
        }.items():
            row |= {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}
        return row | {"slot": "decoder", "temperature": 1.0, "cost": np.nan} | more

    cost = {"cost": 0.01, "cost_low": 0.0, "cost_high": 0.02}
    rows = [row(0.6, slot=slot, temperature=heat) for slot in ("cross", "decoder", "encoder")
            for heat in (0.5, 0.71, 1.41, 2.0)]  # fmt: skip
    rows += [row(0.5, heads=f"{layer}.{head}", **cost) for layer in range(4) for head in range(6)]
    rows.append(row(0.4, heads="0.1 0.2 0.3", chosen="both", **cost))
    return pd.DataFrame([row(0.65), *rows])


def tongues() -> pd.DataFrame:
    return pd.DataFrame(
        {"model": "base", "corpus": "asterisk", "language": language, "measure": measure,
         "temperature": heat, "estimate": 20.0, "low": 15.0, "high": 25.0,
         "change": change, "change_low": change - 0.01, "change_high": change + 0.1}
        for language in ("en", "es", "mean") for measure in ("loss", "wer", "bleu")
        for heat, change in ((0.71, 0.01), (1.0, 0.0), (2.0, 4.0))
    )  # fmt: skip


FIGURES = {
    "module": lambda: plots.module_losses(adapted()),
    "non-speech": lambda: plots.non_speech(silent()),
    "languages": lambda: plots.languages(tongues()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_everything_fits_the_page(name, fits):
    fits(FIGURES[name]())


@pytest.mark.parametrize("name", FIGURES)
def test_legends_cover_nothing(name):
    figure = FIGURES[name]()
    figure.draw_without_rendering()
    assert figure.legends
    for axes in figure.axes:
        assert axes.get_legend() is None
        for legend in figure.legends:
            assert not legend.get_window_extent().overlaps(axes.get_tightbbox())


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_arms_whose_new_weights_learn_quicker_are_a_third_mark():
    quick = {"state": "quick", "arm": "tiny-en-focused-learned", "loss_change": -0.2}
    without, figure = plots.module_losses(adapted()), plots.module_losses(adapted(quick))
    assert legend(without) == ["as taken over", "adapted"]
    assert legend(figure) == ["as taken over", "adapted", "adapted, new weights quicker"]
    for axes in figure.axes:
        assert len(axes.containers) == 3
        line = axes.containers[-1][0]
        assert line.get_xdata() == pytest.approx([-0.2])
        assert line.get_marker() not in {bars[0].get_marker() for bars in axes.containers[:2]}
        places = [bars[0].get_ydata()[-1] for bars in axes.containers]  # of the arm or a neighbour
        assert len(set(places)) == 3


@pytest.mark.parametrize("most", [6.7, 40.0])
def test_no_change_of_loss_is_cut_off(most):
    table = adapted({"state": "quick", "arm": "tiny-en", "loss_change": most})
    for axes in plots.module_losses(table).axes:
        low, high = axes.get_xlim()
        assert low < table["loss_change_low"].min()
        assert table["loss_change_high"].max() < high
        assert -0.3 in axes.get_xticks()
