"""Which mechanism is a special case of which: a tree from what every class says of itself."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from focused_attention.plots.style import BLACK, GREY, PAGE
from focused_attention.plots.variants import FAMILIES

ROW, STEP = 0.145, 0.045  # inches a mechanism, and of the axes' width a generation
NEVER = 0.7  # of the width, where those stand that are no special case of another
LARGE = 10**6  # a setting from here on stands for no bound


def relations() -> pd.DataFrame:
    """Every mechanism, its family, and the source and settings at which it is exactly another.

    `source` is the mechanism's own name for one that others are built on, and "" where there is
    none; `settings` are then the reason.
    """
    from focused_attention import attention  # on use: it loads torch

    rows = []
    for name, path in attention.names().items():
        neutral = attention.load(name)[1].neutral
        source, settings = ("", neutral) if isinstance(neutral, str) else neutral
        told = settings if isinstance(settings, str) else spelt(settings)
        row = {"mechanism": name, "family": path.parent.name, "source": source}
        rows.append(row | {"settings": told})
    return pd.DataFrame(rows)


def spelt(settings: dict) -> str:
    """Settings as a line.

    >>> spelt({"k": 1000000000, "alpha": 1.0, "router": "norm"})
    'k = ∞, alpha = 1, router = norm'
    """
    return ", ".join(f"{name} = {value_of(value)}" for name, value in settings.items())


def value_of(value: object) -> str:
    if isinstance(value, int) and value >= LARGE:
        return "∞"
    return f"{value:g}" if isinstance(value, float) else str(value)


def relation_tree(table: pd.DataFrame) -> Figure:
    """Mechanisms right of the one that they compute exactly, with the settings at which they do.

    `table` is of `relations`; those that are no special case of another stand beside, by family.
    """
    order = list(FAMILIES)
    table = table.sort_values("family", key=lambda of: of.map(order.index), kind="stable")
    roots = table[table["source"] == table["mechanism"]]
    grown = [row for root in roots["mechanism"] for row in branch(table, root, 0)]
    alone = table[table["source"] == ""]
    never = [row for root in alone["mechanism"] for row in branch(table, root, 0)]
    rows = max(len(grown), len(never) + 1)
    fig, axes = plt.subplots(figsize=(PAGE, ROW * rows + 0.7))
    axes.set(xlim=(0, 1), ylim=(rows - 0.4, -0.8))
    axes.axis("off")
    drawn(axes, grown, 0.0, 0)
    written(axes, NEVER, 0, "never exactly another", BLACK)
    drawn(axes, never, NEVER + STEP / 2, 1)
    dots = {"marker": "o", "linestyle": ""}
    handles = [Line2D([], [], color=colour, label=of, **dots) for of, colour in FAMILIES.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return fig


def branch(table: pd.DataFrame, name: str, depth: int) -> Iterator[tuple[int, tuple]]:
    """A mechanism and all that are built on it, each after the one that it is built on."""
    (row,) = table[table["mechanism"] == name].itertuples()
    yield depth, row
    of_it = (table["source"] == name) & (table["mechanism"] != name)
    for child in table["mechanism"][of_it]:
        yield from branch(table, child, depth + 1)


def drawn(axes: Axes, rows: list[tuple[int, tuple]], left: float, top: int) -> None:
    """Rows of `branch`, one below the other from `top`, and what joins them."""
    above: dict[int, int] = {}  # by generation, the row of the last mechanism of it
    for y, (depth, row) in enumerate(rows, start=top):
        above[depth] = y
        x = left + depth * STEP
        text = written(axes, x, y, row.mechanism, FAMILIES[row.family])
        if not depth:
            continue
        turn = x - STEP + 0.012
        corners = [turn, turn, x - 0.006], [above[depth - 1] + 0.45, y, y]
        axes.plot(*corners, color=GREY, linewidth=0.6)
        axes.annotate(
            row.settings, (1, y), xycoords=(text, "data"), xytext=(5, 0), color=GREY, fontsize=7,
            textcoords="offset points", va="center_baseline",
        )  # fmt: skip


def written(axes: Axes, x: float, y: float, name: str, colour: str):
    said = name.replace("_", " ")
    return axes.text(x, y, said, color=colour, fontsize=8, va="center_baseline")
