"""Figures of notebook 09-local-encoder: encoders that see a window, and exchanged encoders."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from focused_attention.plots.haystack import handles, legend
from focused_attention.plots.regimes import (
    FILLERS,
    LENGTHS,
    REGIMES,
    grid,
    points,
    prompts,
    told,
    unmeasured,
)
from focused_attention.plots.style import BLUE, VERMILLION

POSITIONS = {"rotary": "rotary", "alibi": "ALiBi", "none": "no positions"}
COLOURS = {"echo": BLUE, "echo-long": VERMILLION}  # of whose encoder it is
DASHES = {"echo": "-", "echo-long": (0, (4, 2))}  # of whose decoder
WORDS = {"echo": "13 s", "echo-long": "60 s"}


def encoder_windows(table: pd.DataFrame) -> Figure:
    """What is left when the encoder sees so many positions either side, by length and filler.

    `table` is findings/windows.csv. Columns: a window imposed on a trained model of either regime;
    and, where that was run, in training, by what tells positions. Rows: forced choice among words
    at every length; forced choice in the longest by filler; recordings spotted without a mistake.
    """
    if table.empty:
        return unmeasured()
    columns = views(table)
    recalled = table[(table["task"] == "recall") & (table["measure"] == "bound")]
    spotted = table[(table["task"] == "spot") & (table["measure"] == "exact")]
    words = recalled[recalled["filler"] == "words"]
    longest = recalled[recalled["hay"] == recalled["hay"].max()]
    parts = {"words": words}
    parts |= {"fillers": longest} if longest["filler"].nunique() > 1 else {}
    parts |= {"spot": spotted} if len(spotted) else {}
    label = next(iter(told(longest).values()), "")
    rows = {
        "words": "among words:\nforced choice right, %",
        "fillers": f"at {label}:\nforced choice right, %",
        "spot": "spotted, all and\nnothing else, %",
    }
    fig, panels = grid({row: rows[row] for row in parts}, columns, 1.7)
    widths = sorted(table["window"].dropna().unique())
    for (row, column), axes in panels.items():
        cells = parts[row]
        cells = cells[views_of(cells) == column]
        window_lines(axes, cells, row, widths)
        axes.set_ylim(0, 103)
        axes.set_xticks(range(len(widths) + 1), [*(f"{w:g}" for w in widths), "all"])
    fig.supxlabel("positions that the encoder sees either side, of 80 ms each", fontsize=9)
    for row in parts:
        shown = [axes for (of, _), axes in panels.items() if of == row]
        shown[-1].legend(
            *zip(*((h, n) for n, h in handles(*shown).items()), strict=True),
            loc="center left", bbox_to_anchor=(1.0, 0.5),
        )  # fmt: skip
    return fig


def views_of(table: pd.DataFrame) -> pd.Series:
    """How each row's window came about: the arm that it is imposed on, or training's positions."""
    return table["arm"].where(table["imposed"] == "inference", "in training, " + table["positions"])


def views(table: pd.DataFrame) -> dict[str, str]:
    """The ways that a table has, in words."""
    known = {arm: f"{words},\nat inference" for arm, words in REGIMES.items()}
    known |= {f"in training, {name}": f"{words},\nin training" for name, words in POSITIONS.items()}
    found = set(views_of(table))
    return {name: words for name, words in known.items() if name in found}


def window_lines(axes: Axes, cells: pd.DataFrame, row: str, widths: list[float]) -> None:
    """A line against the window's width for every length, filler or number of prompts."""
    if row == "fillers":
        groups = [(cells[cells["filler"] == filler], *look) for filler, look in FILLERS.items()]
    else:
        names = told(cells) if row == "words" else {h: prompts(h) for h in told(cells)}
        groups = [
            (cells[cells["hay"] == hay], colour, marker, name)
            for (hay, name), colour, marker in zip(names.items(), LENGTHS, "os^", strict=False)
        ]
    for place, (line, colour, marker, label) in enumerate(groups):
        line = line.sort_values("window", na_position="last")
        x = line["window"].map({w: i for i, w in enumerate(widths)}).fillna(len(widths))
        aside = 0.08 * (place - (len(groups) - 1) / 2)
        points(axes, x + aside, line, color=colour, marker=marker, label=label)


def encoder_swapped(table: pd.DataFrame) -> Figure:
    """Forced choice of models of one regime's encoder and another's decoder, against length.

    `table` is findings/swapped.csv. Colour tells whose encoder it is, dash whose decoder.
    """
    if table.empty:
        return unmeasured()
    part = table[
        (table["measure"] == "bound") & table[["encoder", "decoder"]].isin([*REGIMES]).all(axis=1)
    ]
    if part.empty:
        return unmeasured()
    part = part.drop_duplicates(["encoder", "decoder", "filler", "hay"])  # of every arm's start
    fillers = {name: look[2] for name, look in FILLERS.items() if name in set(part["filler"])}
    fig, panels = grid({"": "forced choice right, %"}, fillers, 2.3)
    for (_, filler), axes in panels.items():
        pairs = [(one, other) for one in REGIMES for other in REGIMES]
        for place, (encoder, decoder) in enumerate(pairs):
            line = part[
                (part["filler"] == filler)
                & (part["encoder"] == encoder)
                & (part["decoder"] == decoder)
            ].sort_values("seconds")
            style = {"color": COLOURS[encoder], "linestyle": DASHES[decoder]}
            style["marker"] = "os"[decoder == "echo-long"]
            label = f"encoder trained to {WORDS[encoder]}, decoder to {WORDS[decoder]}"
            points(axes, line["seconds"] + 0.6 * (place - 1.5), line, **style, label=label)
        axes.set(xlabel="seconds", ylim=(0, 103))
    legend(fig, handles(*panels.values()), ncols=2)
    return fig
