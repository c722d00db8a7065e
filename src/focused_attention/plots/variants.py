"""The figures of notebook 14-variants: what every mechanism makes of one reader's weights.

`table` is tables/variants.csv. A mechanism's colour is its family's, the folder in which it is.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from focused_attention.plots.labels import label_points
from focused_attention.plots.regimes import unmeasured
from focused_attention.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, PURPLE

FAMILIES = {"softmax": BLUE, "linear": ORANGE, "sparse": GREEN, "memory": PURPLE}
CONTROL = "control"
LEVEL = 0.05  # of adjusted p-values
ROW = 0.165  # inches
AREA = 3.0  # square points for a million multiplications
SHADE = "#EEEEEE"
MARGIN = 0.02  # as verdicts/statistics.py has it: what matters


def variant_map(table: pd.DataFrame) -> Figure:
    """Word error rate against how close to uniform attention is, a point a mechanism.

    Its area is the number of multiplications. Those whose entropy is not known stand beside.
    """
    rows = compared(table, control=True)
    if len(rows) < 2:
        return unmeasured()
    known = rows["entropy"].notna()
    beside = not known.all()
    fig, axes = plt.subplots(
        1, 1 + beside, figsize=(PAGE, 4.9), sharey=True, squeeze=False,
        width_ratios=(2.6, 1)[: 1 + beside],
    )  # fmt: skip
    drawn = [(axes[0, 0], rows[known].sort_values("entropy"))]
    if beside:
        rest = rows[~known].sort_values("difference")
        turns = np.arange(len(rest)) % 3
        drawn.append((axes[0, 1], rest.assign(entropy=turns.astype(float))))
    for panel, part in drawn:
        points(panel, part)
    first = axes[0, 0]
    first.set_xlabel("entropy / log n of the changed layer: sharp to uniform")
    first.set_ylabel("word error rate less the control's (points)")
    if beside:
        axes[0, 1].set(xlim=(-0.6, 3.4), xticks=[], xlabel="no entropy that compares")
    keys(fig, rows, sizes=True)
    for panel, part in drawn:
        label_points(panel, part["entropy"], 100 * part["difference"], part["name"], colours(part))
    return fig


def points(panel: Axes, part: pd.DataFrame) -> None:
    """A panel's points with the intervals of both axes."""
    panel.axhline(0, color=GREY, linewidth=0.8)
    x, y, kind = part["entropy"], 100 * part["difference"], {"alpha": 0.3, "linewidth": 0.8}
    panel.vlines(x, 100 * part["low"], 100 * part["high"], colors=colours(part), **kind)
    if part["entropy_low"].notna().any():
        ends = part["entropy_low"].fillna(x), part["entropy_high"].fillna(x)
        panel.hlines(y, *ends, colors=colours(part), **kind)
    area = AREA * part["multiplications_140"] / 1e6
    panel.scatter(x, y, area, c=colours(part), edgecolors="white", linewidths=0.5, zorder=3)
    panel.margins(x=0.06)


def variant_forest(table: pd.DataFrame) -> Figure:
    """Every difference with its interval, as measured and shrunken; the margin is shaded.

    A filled dot is a difference that is found among all of them, by Holm's adjustment.
    """
    rows = compared(table).sort_values("difference")
    if rows.empty:
        return unmeasured()
    fig, axes = plt.subplots(figsize=(PAGE, ROW * len(rows) + 1.1))
    axes.axvspan(-100 * MARGIN, 100 * MARGIN, color=SHADE, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.8)
    found = (rows["p_holm"] < LEVEL).tolist()
    y = np.arange(len(rows))
    colour = colours(rows)
    axes.hlines(y, 100 * rows["low"], 100 * rows["high"], colors=colour, linewidth=1.1)
    filled = [of if big else "white" for of, big in zip(colour, found, strict=True)]
    axes.scatter(100 * rows["difference"], y, 20, c=filled, edgecolors=colour, zorder=3)
    axes.scatter(100 * rows["shrunken"], y, 30, marker="|", c=BLACK, zorder=4)
    names = zip(rows["name"], found, strict=True)
    axes.set_yticks(y, [f"{name} *" if big else name for name, big in names])
    for text, of in zip(axes.get_yticklabels(), colour, strict=True):
        text.set_color(of)
    axes.set(xlabel="word error rate less the control's (points)", ylim=(len(rows) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    shown = {"color": BLACK, "linestyle": ""}
    keys(
        fig, rows,
        Line2D([], [], marker="o", label="found (Holm, 5 %): *", **shown),
        Line2D([], [], marker="o", label="not found", markerfacecolor="white", **shown),
        Line2D([], [], marker="|", label="shrunken", **shown),
    )  # fmt: skip
    return fig


def compared(table: pd.DataFrame, *, control: bool = False) -> pd.DataFrame:
    """The rows that are compared, with a `name`; the control too, at 0, if it is asked for."""
    changed = table["mechanism"].notna()
    rows = table[changed & table["difference"].notna()]
    if control:
        plain = table[~changed & table["difference"].isna()]
        none = dict.fromkeys(("difference", "low", "high"), 0.0)
        rows = pd.concat([plain.assign(family=CONTROL, **none), rows])
    names = rows["arm"].str.removeprefix("vary-").where(rows["family"] != CONTROL, CONTROL)
    return rows.assign(name=names)


def colours(rows: pd.DataFrame) -> list[str]:
    """Of every row its family's; of one with mechanisms of several, the first's."""
    return [FAMILIES.get(family.split()[0], BLACK) for family in rows["family"]]


def keys(fig: Figure, rows: pd.DataFrame, *more: Line2D, sizes: bool = False) -> None:
    """A legend below: families, what else there is and, of areas, two sizes."""
    there = {family.split()[0] for family in rows["family"]}
    dots = {"marker": "o", "linestyle": ""}
    handles = [
        Line2D([], [], color=colour, label=family, **dots)
        for family, colour in FAMILIES.items()
        if family in there
    ]
    for millions in (5, 20) if sizes else ():
        told = {"label": f"{millions} M multiplications", "color": GREY}
        handles.append(Line2D([], [], markersize=(AREA * millions) ** 0.5, **told, **dots))
    handles += more
    fig.legend(handles=handles, loc="outside lower center", ncols=min(7, len(handles)))
