"""What is spotted in the second trial, in parts; and what sharpening changes, split in four."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.regimes import (
    LENGTHS,
    REGIMES,
    grid,
    heat_axis,
    last_row,
    points,
    prompts,
    trained,
)
from focused_attention.plots.style import BLUE, GREEN, ORANGE, PURPLE, VERMILLION

PARTS = {  # of findings/spotting.csv: colour, marker and words
    "precision": (BLUE, "s", "of those written, said"),
    "recall": (ORANGE, "^", "of those said, written"),
}
PLACES = {  # likewise: a digit by its place among those that are said
    "first": (GREEN, "o", "first"),
    "second": (PURPLE, "s", "second"),
    "third": (VERMILLION, "^", "third"),
}


def spotted(table: pd.DataFrame) -> Figure:
    """Digits spotted among prompts against the temperature of cross-attention, by regime.

    `table` is findings/spotting.csv. Columns: recordings of which all digits and nothing else are
    written, by the number of prompts; among the most prompts, precision and recall; there, the
    digits in the order in which they are said.
    """
    most = table["hay"].max()
    columns = {
        "exact": "all digits and nothing else",
        "parts": f"digits, among {most:g} prompts",
        "places": "each digit in its turn",
    }
    rows = {arm: f"{words}\n%" for arm, words in trained(table).items()}
    fig, panels = grid(rows, columns, 1.55)
    for (arm, column), axes in panels.items():
        of_arm = table[table["arm"] == arm]
        longest = of_arm[of_arm["hay"] == most]
        if column == "exact":
            exact = of_arm[of_arm["measure"] == "exact"]
            for colour, (hay, line) in zip(LENGTHS, exact.groupby("hay"), strict=False):
                curve(axes, line, colour, "o", prompts(hay) if hay == most else f"{hay:g}")
        else:
            drawn = PARTS if column == "parts" else PLACES
            for name, (colour, marker, words) in drawn.items():
                curve(axes, longest[longest["measure"] == name], colour, marker, words)
        axes.set_ylim(0, 103)
    for axes in last_row(panels):
        heat_axis(axes, table["temperature"])
        axes.set_xlabel("temperature of cross-attention")
    for (arm, column), axes in panels.items():
        if arm == [*rows][-1]:
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.3), columnspacing=0.8, fontsize=7.5,
                ncols=1 if column == "parts" else 3, handletextpad=0.4, handlelength=1.0,
            )  # fmt: skip
    return fig


def curve(axes: Axes, line: pd.DataFrame, colour: str, marker: str, words: str) -> None:
    line = line.sort_values("temperature")
    points(axes, np.log2(line["temperature"]), line, color=colour, marker=marker, label=words)


def split(answers: pd.DataFrame, spotting: pd.DataFrame, heat: float) -> pd.DataFrame:
    """What a temperature of cross-attention changes of answering, binding, finding and precision.

    Per cent and points, of the longest recordings with words to pass over (`answers` is
    findings/answers.csv) and among the most prompts (`spotting` is findings/spotting.csv).
    Answering: a digit is written at all, the rest of `none`. Binding: forced choice. Finding: of
    the digits said, those written. Precision: of those written, those said.
    """
    longest = answers[(answers["filler"] == "words") & (answers["hay"] == answers["hay"].max())]
    most = spotting[spotting["hay"] == spotting["hay"].max()]
    parts = (
        ("answering", longest, "none", -1),
        ("binding", longest, "bound", 1),
        ("finding", most, "recall", 1),
        ("precision", most, "precision", 1),
    )
    rows = []
    for arm, words in REGIMES.items():
        for name, table, measure, sign in parts:
            of = table[(table["arm"] == arm) & (table["measure"] == measure)]
            for row in of[of["temperature"] == heat].itertuples():
                ends = sorted(sign * end for end in (row.difference_low, row.difference_high))
                rate = row.rate if sign > 0 else 1 - row.rate
                change = sign * row.difference
                told = {"at 1": rate - change, f"at {heat:g}": rate, "change": change}
                told |= {"low": ends[0], "high": ends[1]}
                shares = {column: round(100 * share, 1) + 0.0 for column, share in told.items()}
                rows.append({"model": words, "what": name} | shares)
    return pd.DataFrame(rows).set_index(["model", "what"]) if rows else pd.DataFrame()
