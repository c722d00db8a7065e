"""The map, the forest and the tree of varied mechanisms, from planted tables."""

import io
import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from focused_attention import plots
from focused_attention.plots.labels import label_points
from focused_attention.plots.relations import branch, spelt
from focused_attention.plots.variants import FAMILIES, MARGIN, compared
from focused_attention.verdicts import statistics
from focused_attention.verdicts.variants import COLUMNS
from tests.plots import drawn

ROOT = Path(__file__).parents[2]


def planted(n: int = 24) -> pd.DataFrame:
    """As read from tables/variants.csv: a start, a control and `n` mechanisms of all families.

    Those of every fifth have no entropy.
    """
    rng = np.random.default_rng(0)
    rows = [{"arm": "echo", "difference": 0.03, "low": 0.01, "high": 0.05}]
    rows.append({"arm": "echo-more", "entropy": 0.9, "entropy_low": 0.89, "entropy_high": 0.91})
    for index in range(n):
        difference = 0.01 * index - 0.1
        row = {"arm": f"vary-mechanism-{index}", "mechanism": f"mechanism_{index}"}
        row |= {"family": list(FAMILIES)[index % 4], "difference": difference}
        row |= {"low": difference - 0.02, "high": difference + 0.02}
        row |= {"shrunken": difference / 3, "p_holm": 0.01 if index == n - 1 else 0.6}
        entropy = float(rng.uniform(0.5, 0.95))
        if index % 5:
            row |= {"entropy": entropy, "entropy_low": entropy - 0.01}
            row |= {"entropy_high": entropy + 0.01}
        else:
            row["note"] = "its rows do not sum to one"
        rows.append(row)
    written = pd.DataFrame(rows, columns=COLUMNS)
    written.loc[written["arm"] != "echo", "multiplications_140"] = 10_000_000
    return pd.read_csv(io.StringIO(written.to_csv(index=False)))


FEW = {"all": planted(), "one": planted(1).iloc[:3], "none known": planted(1), "none": planted(0)}
FEW["empty"] = planted(0).iloc[:0]
FIGURES = {
    "map": plots.variant_map,
    "forest": plots.variant_forest,
    "tree": lambda _: plots.relation_tree(plots.relations()),
}


@pytest.mark.parametrize("table", FEW.values(), ids=FEW)
@pytest.mark.parametrize("name", ["map", "forest"])
def test_figures_are_drawn_however_little_there_is(name, table):
    figure = FIGURES[name](table)
    if len(table) > 2:
        drawn.fits(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_the_same_bytes_twice(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert drawn.saved_twice(lambda: FIGURES[name](FEW["all"]))


def test_the_map_has_a_point_for_each_and_names_it():
    left, right = plots.variant_map(FEW["all"]).axes
    table = compared(FEW["all"], control=True)
    assert {text.get_text() for text in (*left.texts, *right.texts)} == {*table["name"]}
    assert (
        {text.get_text() for text in right.texts}
        == {*table["name"][table["entropy"].isna()]}
        != set()
    )
    points = np.concatenate([panel.collections[-1].get_offsets() for panel in (left, right)])
    assert len(points) == len(table) == 25
    (x, y), name = left.collections[-1].get_offsets()[0], left.texts[0].get_text()
    (row,) = table[table["name"] == name].itertuples()
    assert (x, y) == pytest.approx((row.entropy, 100 * row.difference))


def test_the_start_stands_in_no_figure_and_the_control_at_zero():
    table = compared(FEW["all"], control=True)
    assert "echo" not in set(table["arm"])
    assert table.set_index("name").loc["control", ["difference", "low", "high"]].tolist() == [0] * 3
    assert "control" not in set(compared(FEW["all"])["name"])


@pytest.mark.parametrize("spread", [0.02, 0.3])
def test_labels_of_points_close_together_hide_none_another(spread):
    figure, axes = plots.style.mpl.pyplot.subplots(figsize=(5, 4))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    rng = np.random.default_rng(1)
    x, y = 0.5 + spread * rng.standard_normal((2, 14)).clip(-1.5, 1.5)
    label_points(axes, x, y, [f"mechanism-{i}" for i in range(14)], ["k"] * 14)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without their lines
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert not [1 for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]


def test_the_forest_is_sorted_and_marks_what_is_found():
    (axes,) = plots.variant_forest(FEW["all"]).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [*(f"mechanism-{i}" for i in range(23)), "mechanism-23 *"]
    dots, ticks = axes.collections[-2:]
    np.testing.assert_allclose(ticks.get_offsets()[:, 0], dots.get_offsets()[:, 0] / 3)
    assert MARGIN == statistics.MARGIN
    white = [tuple(colour[:3]) == (1, 1, 1) for colour in dots.get_facecolors()]
    assert white == [True] * 23 + [False]


def test_the_tree_holds_every_mechanism_once():
    table = plots.relations()
    (axes,) = plots.relation_tree(table).axes
    said = [text.get_text() for text in axes.texts]
    names = [name.replace("_", " ") for name in table["mechanism"]]
    assert [name for name in names if said.count(name) != 1] == []
    assert set(table["family"]) <= set(FAMILIES)


def test_a_mechanism_stands_behind_the_one_that_it_is_built_on():
    table = pd.DataFrame(
        {"mechanism": ["a", "b", "c", "d"], "source": ["a", "a", "b", "a"], "family": "softmax"}
    )
    grown = [(depth, row.mechanism) for depth, row in branch(table, "a", 0)]
    assert grown == [(0, "a"), (1, "b"), (2, "c"), (1, "d")]
    assert spelt({"k": 10**9, "base": 1e4, "on": True}) == "k = ∞, base = 10000, on = True"


@pytest.mark.parametrize("table", ["all", "one", "empty"])
def test_the_notebook_runs_on_planted_tables(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "results/pilot/tables").mkdir(parents=True)
    FEW[table].to_csv("results/pilot/tables/variants.csv", index=False)
    cells = json.loads((ROOT / "notebooks/14-variants.ipynb").read_text("utf-8"))["cells"]
    space: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), space)
    assert sorted(os.listdir("paper/figures/14-variants")) == ["forest.pdf", "map.pdf", "tree.pdf"]
