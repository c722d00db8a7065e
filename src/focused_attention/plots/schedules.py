"""Figures of notebook 08-schedules: schedules of temperature as they were trained."""

from collections.abc import Mapping
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from focused_attention.params import Arm
from focused_attention.plots.first_optimum import published
from focused_attention.plots.haystack import SLOTS, handles, layered, legend, say
from focused_attention.plots.regimes import FILLERS, UNMEASURED, grid, points, unmeasured
from focused_attention.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    INDIGO,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    VERMILLION,
)

LOOKS = {  # of a schedule: colour, marker and words
    "constant": (BLACK, "o", "constant"),
    "power": (GREY, "o", "power"),
    "log_n": (SKY, "s", "log n"),
    "scalable": (GREEN, "D", "Scalable-Softmax"),
    "learned": (PURPLE, "*", "learned per head"),
    "published_sharper": (INDIGO, "P", "published, longer is sharper"),
    "published_softer": (VERMILLION, "P", "published, longer is softer"),
}
POWERS = {-1: (BLUE, "v", "power, slope −¼"), 1: (ORANGE, "^", "power, slope +¼")}
LITTLE = 0.1  # scale of the published lines below which temperature hardly moves
APART = 0.028  # octaves between dots that would cover each other
LEARNED = {"slope": "slope", "log2_temperature": "temperature at $n_0$"}


def look(row) -> tuple[str, str, str, bool]:
    """Colour, marker and words of a schedule, and whether its dot is filled.

    Hollow are the published lines, whose level is another than 1.
    """
    if row.schedule == "power" and row.slope:
        return *POWERS[int(np.sign(row.slope))], True
    colour, marker, words = LOOKS[row.schedule]
    if row.schedule.startswith("published"):
        return colour, "X" if row.scale < LITTLE else marker, f"{words}, c = {row.scale:g}", False
    return colour, marker, words, True


def effective(row, settings: Mapping, keys: tuple[float, float], slopes: Mapping) -> float:
    """Octaves of temperature an octave of keys, between the fewest and the most `keys`.

    `row` has the schedule's name, slope and scale, `settings` is the slot of its arm, and `slopes`
    are those that arms have learned. A level, learned or not, is no slope.
    """
    n = np.array(keys)
    match row.schedule:
        case "constant":
            return 0.0
        case "power":
            return float(row.slope)
        case "learned":
            return float(slopes.get(row.arm, np.nan))
        case "log_n" | "scalable":
            heat = 1 / np.log(n)
        case "published_sharper" | "published_softer":
            share = np.minimum(1.0, n / settings["longest"])
            heat = published(share, row.schedule == "published_sharper", row.scale)
        case _:
            raise ValueError(f"schedule: unknown {row.schedule!r}")
    return float(np.log(heat[1] / heat[0]) / np.log(n[1] / n[0]))


def schedule_slopes(
    table: pd.DataFrame, learned: pd.DataFrame, arms: Mapping[str, Arm], rate: float
) -> Figure:
    """What a schedule changes in the longest recordings against its slope, a panel a slot.

    `table` is findings/schedules.csv, `learned` findings/learned.csv, `arms` those of params.yaml,
    `rate` keys a second. Points with intervals: words passed over; light dots: the other fillers.
    Dots that would cover each other are moved aside.
    """
    if table.empty:
        return unmeasured()
    table = table[(table["measure"] == "bound") & (table["schedule"] != "none")]
    longest = table[table["hay"] == table["hay"].max()]
    keys = rate * table["seconds"].min(), rate * table["seconds"].max()
    known = learned if len(learned) else pd.DataFrame(columns=["arm", "slot", "quantity"])
    known = known[known["quantity"] == "slope"].set_index("arm")
    fig, panels = plt.subplots(1, 2, figsize=(PAGE, 3.8), sharex=True, sharey=True)
    for axes, slot in zip(panels, ("encoder", "cross"), strict=True):
        axes.set(title=SLOTS[slot], xlabel="octaves of temperature an octave of keys")
        axes.axhline(0, color=GREY, linewidth=0.8)
        cells = longest[longest["slot"] == slot]
        words = cells[cells["filler"] == "words"]
        if words.empty:
            say(axes, UNMEASURED)
        slopes = known["mean"].to_dict() if len(known) else {}
        true = {
            row.arm: effective(row, getattr(arms[row.arm], slot), keys, slopes)
            for row in words.itertuples()
        }
        for arm, x in apart(true, APART).items():
            schedule_dot(axes, cells[cells["arm"] == arm], x)
            if arm in known.index:
                of = known.loc[arm]
                y = 100 * words.loc[words["arm"] == arm, "difference"].iloc[0]
                axes.plot([of["low"], of["high"]], [y, y], color=LOOKS["learned"][0], linewidth=0.8)
    panels[0].set_ylabel("change of forced choice, points")
    light = {"color": GREY, "alpha": 0.6, "markersize": 3, "linestyle": ""}
    others = {
        f"{words} passed over": Line2D([], [], marker=marker, **light)
        for name, (_, marker, words) in FILLERS.items()
        if name != "words" and (longest["filler"] == name).any()
    }
    legend(fig, handles(*panels) | others, ncols=3)
    return fig


def schedule_dot(axes: Axes, cells: pd.DataFrame, x: float) -> None:
    """One arm's change: with its interval among words, light dots among other fillers."""
    words = cells[cells["filler"] == "words"]
    colour, marker, label, filled = look(next(words.itertuples()))
    face = {} if filled else {"markerfacecolor": "white"}
    style = {"color": colour, "marker": marker, "markersize": 6, "linestyle": ""} | face
    points(axes, [x], words, "difference", **style, label=label)
    for filler, (_, shape, _) in FILLERS.items():
        of = cells[cells["filler"] == filler]
        if filler != "words":
            aside = APART * (0.3 if shape == "s" else -0.3)
            dot = {"color": colour, "alpha": 0.4, "markersize": 3, "markeredgewidth": 0}
            axes.plot([x + aside] * len(of), 100 * of["difference"], shape, **dot)


def apart(places: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places of dots on a line, moved as little as leaves `gap` between them; NaN are left out.

    >>> apart({"a": 0.0, "b": 0.0, "c": 1.0}, 0.2)
    {'a': -0.1, 'b': 0.1, 'c': 1.0}
    """
    known = {name: x for name, x in places.items() if not np.isnan(x)}
    groups = [[name] for name in sorted(known, key=known.get)]

    def spread(group: list[str]) -> np.ndarray:
        steps = gap * (np.arange(len(group)) - (len(group) - 1) / 2)
        return np.mean([known[name] for name in group]) + steps

    while close := [
        place
        for place, (one, other) in enumerate(pairwise(groups))
        if spread(other)[0] - spread(one)[-1] < gap - 1e-9
    ]:
        groups[close[0] : close[0] + 2] = [groups[close[0]] + groups[close[0] + 1]]
    return {
        name: float(x) for group in groups for name, x in zip(group, spread(group), strict=True)
    }


def schedule_learned(
    temperatures: pd.DataFrame, learned: pd.DataFrame, arms: Mapping[str, Arm]
) -> Figure:
    """Slopes and levels that heads have learned, seed by seed, a column an arm.

    `temperatures` is findings/temperatures.csv, a row a head; `learned` findings/learned.csv, the
    mean over heads with its interval over seeds, at the right. A bar is the mean of a seed's heads.
    """
    if temperatures.empty or learned.empty:
        return unmeasured()
    table = temperatures.assign(log2_temperature=np.log2(temperatures["temperature"]))
    found = learned[["arm", "slot"]].drop_duplicates().itertuples(index=False)
    columns = {
        (arm, slot): f"{SLOTS[slot]},\n{LOOKS[getattr(arms[arm], slot)['schedule']][2]}"
        for arm, slot in found
    }
    fig, panels = grid(LEARNED, columns, 1.6, sharex="col", sharey="row")
    colours = layered(table["layer"])
    for (quantity, (arm, slot)), axes in panels.items():
        of = table[(table["arm"] == arm) & (table["slot"] == slot)].dropna(subset=[quantity])
        seeds = sorted(of["seed"].unique())
        for place, seed in enumerate(seeds):
            heads = of[of["seed"] == seed]
            for layer, colour in colours.items():
                values = heads.loc[heads["layer"] == layer, quantity]
                style = {"color": colour, "markersize": 3, "alpha": 0.6, "markeredgewidth": 0}
                axes.plot([place] * len(values), values, "o", **style, label=f"layer {layer + 1}")
            mean = heads[quantity].mean()
            axes.plot([place - 0.35, place + 0.35], [mean, mean], color=BLACK, linewidth=1.0)
        told = learned[(learned["arm"] == arm) & (learned["quantity"] == quantity)]
        points(axes, [len(seeds) + 0.5] * len(told), told, "mean", ("low", "high"), 1,
               color=BLACK, marker="D", label="mean, interval over seeds")  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        axes.grid(visible=False, axis="x")
        axes.set_xticks([*range(len(seeds)), len(seeds) + 0.5], [*map(str, seeds), "all"])
        if told.empty:
            say(axes, "not learned")
        if quantity != "slope":
            axes.set_xlabel("seed")
            octaves_axis(axes, table[quantity])
    legend(fig, handles(*panels.values()))
    return fig


def octaves_axis(axes: Axes, values: pd.Series) -> None:
    """Ticks of temperatures on an upright axis of their octaves, about four of them."""
    reach = max(abs(values.min()), abs(values.max()), 0.05)
    step = 2.0 ** np.ceil(np.log2(reach / 2))
    ticks = step * np.arange(np.floor(values.min() / step), np.ceil(values.max() / step) + 1)
    axes.set_yticks(ticks, [f"{2**tick:.2f}" for tick in ticks])
