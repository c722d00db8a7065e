"""Figures and tables of notebook 10-first-trial: a trial and its replication, side by side.

What sharpening changes with every seed, and how often the model answers with a digit at all.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from focused_attention.plots.haystack import (
    HOLLOW,
    SEARCHES,
    band,
    bars,
    guessers,
    handles,
    legend,
    temperature_axis,
)
from focused_attention.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, VERMILLION

COLOURS = (BLUE, VERMILLION, ORANGE)  # of profiles, in their order
ALL = "all"
MEASURES = {  # of findings/guesses.csv
    "digits": ("answers that are a digit", BLACK, "s", "--"),
    "right": ("answers that are right", BLUE, "o", "-"),
    "right_given_digit": ("digits that are right", GREEN, "^", "-."),
}

FOUND = ("effect", "low", "high", "n", "seeds")


def of_profiles(folders: Mapping[str, Path], name: str, arm: str) -> pd.DataFrame:
    """One arm's rows of findings/NAME.csv of several profiles, named in the column profile."""
    parts = {
        profile: pd.read_csv(folder / "findings" / f"{name}.csv")
        for profile, folder in folders.items()
    }
    table = pd.concat(parts, names=["profile"]).reset_index("profile")
    return table[table["arm"] == arm]


def replication_verdicts(verdicts: Mapping[str, Mapping], claims: Iterable[str]) -> pd.DataFrame:
    """The verdict and the effect of every claim in every profile.

    `verdicts` is the content of verdicts.json by profile. What is not judged is shown as it is.
    """
    rows = []
    for claim in claims:
        for profile, known in verdicts.items():
            of = known["claims"][claim]
            judged = of["effect"] is not None
            shown = of if judged else of.get("ungated") or of
            verdict = of["verdict"] if judged else "not judged"
            rows.append({"claim": claim, "profile": profile, "verdict": verdict})
            rows[-1] |= {column: shown[column] for column in FOUND}
    return pd.DataFrame(rows).set_index(["claim", "profile"])


def replication_seeds(
    by_seed: pd.DataFrame, margin: float, kept: int, untrained: Collection[tuple[str, str]] = ()
) -> Figure:
    """What sharpening cross-attention changes at the longest size, in points, with intervals.

    `by_seed` is findings/by-seed.csv of one arm, of several profiles one below the other (column
    profile): difference, difference_low and difference_high of every seed, and of "all", at the
    sharp temperature. Panels are the tasks with all weights kept, and recall with `kept` of each
    row. Hollow: the (profile, seed) of `untrained`. Within the grey band, `margin` either way, a
    difference matters little.
    """
    profiles = list(dict.fromkeys(by_seed["profile"]))
    colours = dict(zip(profiles, COLOURS, strict=False))
    seeds = list(dict.fromkeys(zip(by_seed["profile"], by_seed["seed"], strict=True)))
    seeds = [(profile, seed) for profile, seed in seeds if seed.isdigit() or seed == ALL]
    place = {run: x + 0.7 * profiles.index(run[0]) for x, run in enumerate(seeds)}
    parts = {
        SEARCHES[task]: (by_seed["task"] == task) & by_seed["top_k"].isna() for task in SEARCHES
    }
    few = (by_seed["task"] == "recall") & (by_seed["top_k"] == kept)
    parts |= {f"recall, {kept} weights of a row": few}
    fig, panels = plt.subplots(len(parts), 1, figsize=(PAGE, 4.6), sharex=True, sharey=True)
    for axes, (title, chosen) in zip(panels, parts.items(), strict=True):
        part = by_seed[chosen]
        part = part[part["hay"] == part["hay"].max()].set_index(["profile", "seed"])
        axes.axhspan(-100 * margin, 100 * margin, color=GREY, alpha=0.15, linewidth=0)
        axes.axhline(0, color=GREY, linewidth=0.8)
        for run, x in place.items():
            if run not in part.index:
                continue
            names = ["difference", "difference_low", "difference_high"]
            change, low, high = 100 * part.loc[run, names].astype(float)
            style = {"color": colours[run[0]], "marker": "D" if run[1] == ALL else "o"}
            style |= {"markerfacecolor": HOLLOW} if run in untrained else {}
            bars(axes, [x], [change], [low], [high], **style)
        axes.set(title=title, ylabel="change (points)")
        axes.grid(axis="x", visible=False)
    panels[-1].set_xticks(list(place.values()), [seed for _, seed in place])
    panels[-1].set_xlabel("seed")
    entries: dict[str, object] = {
        profile: Line2D([], [], color=colour, marker="o", linestyle="")
        for profile, colour in colours.items()
    }
    entries |= {
        "all of a profile's seeds": Line2D([], [], color=GREY, marker="D", linestyle=""),
        f"less than {100 * margin:g} points": Patch(color=GREY, alpha=0.15, linewidth=0),
    }
    legend(fig, entries)
    return fig


def replication_guesses(guesses: pd.DataFrame, chance: Mapping[str, float]) -> Figure:
    """Answers that are a digit, that are right, and digits that are right, against temperature.

    `guesses` is findings/guesses.csv of one arm, of several profiles one below the other (column
    profile): rate, low and high of every measure and temperature at the longest size. A panel a
    profile; `chance` is that of verdicts.json.
    """
    profiles = list(dict.fromkeys(guesses["profile"])) or ["no profile"]
    fig, panels = plt.subplots(1, len(profiles), figsize=(PAGE, 2.5), sharey=True, squeeze=False)
    for axes, profile in zip(panels[0], profiles, strict=True):
        part = guesses[guesses["profile"] == profile]
        for measure, (label, colour, marker, dash) in MEASURES.items():
            of = part[part["measure"] == measure]
            style = {"color": colour, "marker": marker, "markersize": 3.5, "linestyle": dash}
            band(axes, of, "temperature", "rate", scale=100, **style, label=label)
        guessers(axes, chance)
        axes.axvline(1, color=GREY, linewidth=0.8, zorder=1)
        temperature_axis(axes, "x", part["temperature"])
        axes.set(title=profile, xlabel="temperature")
    panels[0, 0].set(ylabel="share (%)", ylim=(-3, 103))
    legend(fig, handles(*panels[0]))
    return fig
