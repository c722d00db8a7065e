"""Figure of notebook 10-first-trial: what arms find whose temperature is set or learned.

Rates are fractions in the tables, percent in the figures.
"""

from collections.abc import Collection

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from focused_attention.plots.haystack import (
    HOLLOW,
    OUTCOMES,
    SEARCHES,
    present,
)
from focused_attention.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    Style,
    schedule_of,
)

SCHEDULES = {  # in their order, with the colours of arms named after them; the first has none
    "": None, "off": BLACK, "sharpen longer": BLUE, "sharpen shorter": ORANGE, "learned": GREEN,
    "learned span": PURPLE, "log length": SKY,
}  # fmt: skip
PLACES = ("", "focus", "local branch", "encoder", "cross")  # of focused attention, likewise


def settings(arms: dict[str, dict]) -> pd.DataFrame:
    """What each arm's focused attention is, from its row of params.yaml.

    `arms` maps names to those rows as dicts. Columns: arm, slot ("" without focused attention, else
    one of `PLACES`), schedule ("" likewise), temp_scale, max_span and train_length (not a number
    where not set).
    """
    numbers = ["temp_scale", "max_span", "train_length"]
    rows = []
    for arm, row in arms.items():
        found = {"arm": arm, "slot": "", "schedule": ""}
        for slot in ("focus", "encoder", "cross"):
            of = row.get(slot) or {}
            if of.get("mechanism") in ("focused", "hybrid"):
                place = "local branch" if of["mechanism"] == "hybrid" else slot
                found |= {"slot": place, "schedule": schedule_of(of)}
                found |= {key: of[key] for key in numbers if key in of}
        rows.append(found)
    table = pd.DataFrame(rows).reindex(columns=["arm", "slot", "schedule", *numbers])
    return table.astype(dict.fromkeys(numbers, float))


def first_grid(
    accuracy: pd.DataFrame,
    settings: pd.DataFrame,
    look: dict[str, Style],
    untrained: Collection[str] = (),
) -> Figure:
    """What every arm finds at its longest length as trained, grouped by slot, schedule and scale.

    `accuracy` has the columns arm, task, slot, seconds, temperature, rate, low and high;
    `settings` is that of `settings`. The dots of `untrained` arms are hollow.
    """
    accuracy = accuracy[(accuracy["temperature"] == 1) & accuracy["arm"].isin(look)]
    accuracy = accuracy.drop_duplicates(["arm", "task", "seconds"])
    tasks = present(accuracy, "task", SEARCHES)
    about = settings[settings["arm"].isin(accuracy["arm"])]
    about = about.assign(
        place=about["slot"].map(PLACES.index),
        turn=about["schedule"].map(list(SCHEDULES).index),
    )
    order = ["place", "max_span", "turn", "temp_scale"]
    about = about.sort_values(order, kind="stable", na_position="first")
    rows, names, colours, position = {}, {}, {}, 0.0
    for _, group in about.groupby("place"):
        for row in group.itertuples():
            rows[row.arm], position = position, position + 1
            colours[row.arm] = SCHEDULES[row.schedule] or look[row.arm].colour
            scaled = row.schedule.startswith("sharpen") and not np.isnan(row.temp_scale)
            scale = f", scale {row.temp_scale:g}" if scaled else ""
            plain = look[row.arm].label
            span = "" if np.isnan(row.max_span) else f", span {row.max_span:g}"
            names[row.arm] = f"{row.slot}: {row.schedule}{scale}{span}" if row.schedule else plain
        position += 0.5
    fig, panels = plt.subplots(
        1, len(tasks), figsize=(PAGE, 0.9 + 0.17 * max(1.0, position)), sharey=True, squeeze=False
    )
    for axes, task in zip(panels[0], tasks, strict=True):
        part = accuracy[accuracy["task"] == task]
        longest = part[part["seconds"] == part["seconds"].max()].set_index("arm")
        for arm, place in rows.items():
            if arm in longest.index:
                rate, low, high = 100 * longest.loc[arm, ["rate", "low", "high"]].astype(float)
                colour = colours[arm]
                axes.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.55)
                filling = HOLLOW if arm in untrained else colour
                axes.plot(rate, place, "o", color=colour, markersize=5, markerfacecolor=filling)
        length = "" if part.empty else f", {part['seconds'].max():.3g} s"
        axes.set(title=f"{SEARCHES[task]}{length}", xlabel=f"{OUTCOMES[task]} at temperature 1")
        axes.grid(axis="y", visible=False)
    panels[0, 0].set_yticks(list(rows.values()), [names[arm] for arm in rows])
    panels[0, 0].set_ylim(max(1.0, position) - 1, -0.75)
    return fig
