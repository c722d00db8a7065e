"""The figure of the focused attention module in a published Whisper's encoder."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from focused_attention.plots.style import BLACK, BLUE, GREY, PAGE, VERMILLION

ARMS = {  # what they are called, from the top
    "tiny-en": "plain softmax",
    "tiny-en-hybrid": "hybrid, corrected",
    "tiny-en-local": "local window",
    "tiny-en-focused-learned": "focused, learned temperature",
    "tiny-en-focused": "focused, published constants",
    "tiny-en-hybrid-published": "hybrid, published",
}
STATES = {  # label; marker, and its face where it is not the panel's colour
    "untrained": ("as taken over", "o", "white"),
    "adapted": ("adapted", "o", None),
    "quick": ("adapted, new weights quicker", "D", None),
}
PANELS = {  # condition, whether the longest; title and colour
    ("unpadded", False): ("a. {:.0f} s, 1 s of silence", BLUE),
    ("padded", True): ("b. {:.0f} s, padded", VERMILLION),
}
LINEAR = 0.1  # nats, within which the axis is not logarithmic
TICKS = (-0.3, -0.1, 0, 0.1, 1, 10)
LIMITS = (-0.6, 10)  # nats, wider where an interval ends beyond
APART = 0.27  # rows between an arm's own and its first and last marks


def module_losses(heard: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """How much the loss changes against the untouched model, by arm: taken over, and adapted;
    and, of arms where that was run, adapted with what is new in them learning quicker.

    Lines are intervals over recordings and prompts, where they are longer than the mark.
    """
    part = heard[(heard["model"] == model) & (heard["seed"].astype(str) == "all")]
    arms = [arm for arm in ARMS if (part["arm"] == arm).any()]
    arms += sorted(set(part["arm"].dropna()) - set(arms))
    states = [state for state in STATES if (part["state"] == state).any()]
    shifts = dict(zip(states, np.linspace(-APART, APART, len(states)), strict=True))
    lengths = part["length"].astype(float)
    size = PAGE, 1.2 + 0.33 * len(arms)
    fig, panels = plt.subplots(1, 2, figsize=size, sharex=True, sharey=True)
    for axis, ((condition, long), (title, colour)) in zip(panels, PANELS.items(), strict=True):
        length = lengths.max() if long else lengths.min()
        of = part[(part["condition"] == condition) & (lengths == length)]
        for state in states:
            label, marker, face = STATES[state]
            rows = of[of["state"] == state].set_index("arm")
            rows = rows.reindex([arm for arm in arms if arm in rows.index])
            places = [arms.index(arm) + shifts[state] for arm in rows.index]
            change, low, high = (
                rows[name].astype(float)
                for name in ("loss_change", "loss_change_low", "loss_change_high")
            )
            axis.errorbar(
                change, places, xerr=[change - low, high - change], fmt=marker, color=colour,
                markerfacecolor=face or colour, elinewidth=0.9, markersize=4.5, label=label,
            )  # fmt: skip
        axis.axvline(0, color=GREY, linewidth=0.8)
        axis.set_xscale("symlog", linthresh=LINEAR, linscale=0.8)
        axis.xaxis.set_major_locator(FixedLocator(TICKS))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticklabels([f"{tick:g}" for tick in TICKS])
        axis.set_xlabel("loss less the untouched model's (nats a token)")
        axis.set_title(title.format(length), loc="left")
    ends = part[["loss_change_low", "loss_change_high"]].astype(float)
    low, high = 1.1 * ends.min(axis=None), 1.1 * ends.max(axis=None)
    panels[0].set_xlim(min(LIMITS[0], low), max(LIMITS[1], high))
    fig.legend(handles=marks(states), loc="outside lower center", ncols=len(states))
    panels[0].set_yticks(range(len(arms)), [ARMS.get(arm, arm) for arm in arms])
    panels[0].invert_yaxis()
    return fig


def marks(states: list[str]) -> list[Line2D]:
    """The legend's marks, in no panel's colour."""
    return [
        Line2D([], [], color=BLACK, marker=marker, markerfacecolor=face or BLACK, markersize=4.5,
               linewidth=0.9, label=label)
        for label, marker, face in map(STATES.get, states)
    ]  # fmt: skip
