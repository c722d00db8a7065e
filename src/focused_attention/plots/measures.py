"""The figure of notebook 12-measures: any measure, of any arms, as dots with intervals."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from focused_attention.plots.style import PAGE, legend_below, named

MARKERS = "os^Dv"  # by turns, beside the colours
ROW, MARGIN = 0.18, 1.1  # inches: of a condition, and of what stands around them


def measured(table: pd.DataFrame, measure: str) -> Figure:
    """A measure's means with their intervals: a panel a metric, a row a condition, a dot an arm.

    `table` is tables/measures.csv; only what it marks for the figure is drawn. Raises ValueError
    for a measure of which nothing is.
    """
    rows = table[(table["measure"] == measure) & table["mean"].notna()]
    rows = rows[rows["figure"].astype(str) == "True"]
    if rows.empty:
        raise ValueError(f"measure: nothing of {measure!r} is in the table's figures")
    conditions, metrics = (list(dict.fromkeys(rows[name])) for name in ("condition", "metric"))
    looks = named(rows["arm"])
    height = MARGIN + ROW * len(conditions) * max(1.0, len(looks) / 3)
    fig, axes = plt.subplots(
        1, len(metrics), figsize=(PAGE, height), sharey=True, squeeze=False
    )  # fmt: skip
    apart = np.linspace(-0.3, 0.3, len(looks)) if len(looks) > 1 else [0.0]
    for panel, metric in zip(axes[0], metrics, strict=True):
        for place, (arm, look) in enumerate(looks.items()):
            part = rows[(rows["arm"] == arm) & (rows["metric"] == metric)]
            y = [conditions.index(condition) + apart[place] for condition in part["condition"]]
            x, marker = part["mean"], MARKERS[place % len(MARKERS)]
            panel.hlines(y, part["low"].fillna(x), part["high"].fillna(x), color=look.colour)
            kind = {"color": look.colour, "marker": marker, "linestyle": "", "label": look.label}
            panel.plot(x, y, **kind)
        panel.set_xlabel(metric.replace("_", " "))
    axes[0, 0].set_yticks(range(len(conditions)), told(conditions))
    axes[0, 0].set_ylim(len(conditions) - 0.5, -0.5)
    axes[0, 0].set_title(measure, loc="left")
    legend_below(fig, axes[0, 0], [look.label for look in looks.values()])
    return fig


def told(conditions: list[str]) -> list[str]:
    """Conditions without what is the same in all of them.

    >>> told(["task=recall; hay=8", "task=recall; hay=60"])
    ['hay=8', 'hay=60']
    """
    parts = [condition.split("; ") for condition in conditions]
    same = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    return ["; ".join(part for part in of if part not in same) for of in parts]
