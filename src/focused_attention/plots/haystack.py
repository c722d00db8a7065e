"""What the figures on haystacks share: names, colours of ordered values, axes and intervals."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from focused_attention import results
from focused_attention.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Style,
)

SLOTS = {
    "encoder": "encoder self-attention",
    "cross": "cross-attention",
    "both": "encoder and cross",
}
SEARCHES = {"recall": "recall", "spot": "spot"}
OUTCOMES = {"recall": "accuracy (%)", "spot": "F1 (%)"}
GUESSERS = {  # of recall, as verdicts.json has what they score, and the dashes of their lines
    "any_digit": ("guesses a digit", (0, (1, 1.5))),
    "heard_digit": ("guesses a heard digit", (0, (5, 1.5, 1, 1.5))),
}
LAYERS = (BLUE, ORANGE, GREEN, PURPLE)  # colours of the first and the following
HOLLOW = "white"  # the face of a dot that does not count
COLLAPSED = 0.95  # normalised entropy above which a head is, as in metrics.sharpness
GATE = 0.9  # of recall on dev: an arm counts as trained if its seeds reach it on average


def of_runs(folder: Path, stage: str) -> pd.DataFrame:
    """A measure's table of every run that it was taken of, with the columns arm and seed in front.

    `folder` is results/<profile>, and the tables are folder/stage/<run>.csv.
    """
    tables = [pd.DataFrame()]
    for file in sorted((folder / "seek").glob("*.json")):
        path = folder / stage / f"{file.stem}.csv"
        if not path.exists():
            continue
        run, table = results.read_json(file), pd.read_csv(path)
        table.insert(0, "arm", run["arm"])
        table.insert(1, "seed", run["seed"])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def of_arm(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """The rows of one arm. Raises ValueError for an arm that the table does not have."""
    part = table[table["arm"] == arm]
    if part.empty and not table.empty:
        known = ", ".join(dict.fromkeys(table["arm"]))
        raise ValueError(f"arm: expected one of {known}, given {arm!r}")
    return part


def missed(learning: pd.DataFrame) -> set[str]:
    """The arms that did not learn: their seeds recall less of dev than the gate, on average.

    `learning` has the columns arm and recall_first_word (a fraction), a row a seed.
    """
    recalled = learning.groupby("arm")["recall_first_word"].mean()
    return set(recalled.index[recalled < GATE])


def present(table: pd.DataFrame, column: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that the column holds, in their order; all of them if it holds none."""
    found = set(table[column])
    return [name for name in names if name in found] or list(names)


def layered(values: Iterable[int]) -> dict[int, str]:
    """A colour for every layer."""
    values = sorted(set(values))
    return {value: LAYERS[place % len(LAYERS)] for place, value in enumerate(values)}


def heats(values: Iterable[float]) -> dict[float, str]:
    """A colour for every temperature: blue below one, black at one, orange to red above."""
    values = sorted(set(values))
    below, above = ([v for v in values if v < 1], [v for v in values if v > 1])
    return (
        dict(zip(below, blend(BLUE, SKY, len(below)), strict=True))
        | dict.fromkeys([v for v in values if v == 1], BLACK)
        | dict(zip(above, reversed(blend(VERMILLION, ORANGE, len(above))), strict=True))
    )


def blend(first: str, last: str, n: int) -> list[str]:
    """n colours from the first to the last; the first alone if there is one."""
    shares = np.linspace(0.0, 1.0, n)[:, None]
    return [to_hex(c) for c in (1 - shares) * to_rgb(first) + shares * to_rgb(last)]


def band(axes, part: pd.DataFrame, x: str, y: str, *, scale: float = 1.0, **kind) -> None:
    """Draw y against x with its interval (columns low and high), all three times `scale`.

    What has no interval, as a rate of next to nothing has not, is left out.
    """
    part = part.dropna(subset=[x, y, "low", "high"]).sort_values(x)
    low, high = (scale * part[edge].astype(float) for edge in ("low", "high"))
    axes.fill_between(part[x], low, high, color=kind["color"], alpha=0.15, linewidth=0)
    axes.plot(part[x], scale * part[y], **({"marker": "o", "markersize": 2.5} | kind))


def bars(axes, x, value, low, high, **kind) -> None:
    """Draw values with their intervals as upright bars."""
    axes.vlines(x, low, high, color=kind["color"], linewidth=1.4, alpha=0.6)
    axes.plot(x, value, **({"marker": "o", "markersize": 4, "linestyle": ""} | kind))


def dodge(x: pd.Series, place: int, places: int, share: float = 0.012) -> pd.Series:
    """x moved aside for the place-th of `places` series, by a share of the widest x."""
    return x + (place - (places - 1) / 2) * share * (x.max() if len(x) else 1.0)


def temperature_axis(axes, which: str, values: Iterable[float]) -> None:
    """Make x or y logarithmic, with ticks at the powers of two that lie within the values."""
    getattr(axes, f"set_{which}scale")("log", base=2)
    values = sorted(set(values)) or [1.0]
    powers = [p for p in (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0) if values[0] <= p <= values[-1]]
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator(powers or values))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def say(axes, text: str) -> None:
    """Write into an empty panel why it is empty."""
    axes.grid(False)
    axes.text(0.5, 0.5, text, color=GREY, transform=axes.transAxes, ha="center", va="center")


def note(axes, text: str, y: float, dash: str | tuple = (0, (4, 3))) -> None:
    """A grey line across the panel at y, which the legend names."""
    axes.axhline(y, color=GREY, linewidth=0.8, linestyle=dash, zorder=1, label=text)


def guessers(axes, chance: Mapping[str, float]) -> None:
    """What each of the two guessers of recall scores, as a grey line that the legend names.

    `chance` is that of verdicts.json: one guesser names any digit, one any that was heard.
    """
    for guesser, (name, dash) in GUESSERS.items():
        score = 100 * chance[guesser]
        note(axes, f"{name}: {score:.3g} %", score, dash)


def legend(fig, entries: dict[str, object], ncols: int = 4) -> None:
    """One legend below the whole figure, handles by label, in as many columns as fit."""
    if not entries:
        return
    widest = 0.6 + 0.055 * max(map(len, entries))  # inches: the handle, and letters of 8 points
    fits = int(fig.get_figwidth() / widest)
    fig.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=max(1, min(ncols, fits, len(entries))),
    )


def handles(*panels) -> dict[str, object]:
    """The labelled artists of panels, each label once; the grey lines of `note` come last."""
    found: dict[str, object] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)

    def noted(label: str) -> bool:
        return getattr(found[label], "get_color", lambda: "")() == GREY

    return {label: found[label] for label in sorted(found, key=noted)}


def kind(style: Style) -> dict:
    """An arm's look as matplotlib's arguments."""
    return {"color": style.colour, "linestyle": style.dash, "label": style.label}
