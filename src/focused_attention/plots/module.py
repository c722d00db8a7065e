"""The figure of the focused attention module in a published Whisper's encoder."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from focused_attention.plots.style import BLUE, GREY, PAGE, VERMILLION

ARMS = {  # what they are called, from the top
    "tiny-en": "plain softmax",
    "tiny-en-hybrid": "hybrid, corrected",
    "tiny-en-local": "local window",
    "tiny-en-focused-learned": "focused, learned temperature",
    "tiny-en-focused": "focused, published constants",
    "tiny-en-hybrid-published": "hybrid, published",
}
STATES = {"untrained": ("as taken over", "white"), "adapted": ("adapted", None)}
PANELS = {  # condition, whether the longest; title and colour
    ("unpadded", False): ("a. {:.0f} s, 1 s of silence", BLUE),
    ("padded", True): ("b. {:.0f} s, padded", VERMILLION),
}
LINEAR = 0.1  # nats, within which the axis is not logarithmic
TICKS = (-1, -0.1, 0, 0.1, 1, 5)


def module_losses(heard: pd.DataFrame, model: str = "tiny.en") -> Figure:
    """How much the loss changes against the untouched model, by arm: taken over, and adapted.

    Lines are intervals over recordings and prompts, where they are longer than the mark.
    """
    part = heard[(heard["model"] == model) & (heard["seed"].astype(str) == "all")]
    arms = [arm for arm in ARMS if (part["arm"] == arm).any()]
    arms += sorted(set(part["arm"].dropna()) - set(arms))
    lengths = part["length"].astype(float)
    fig, panels = plt.subplots(1, 2, figsize=(PAGE, 0.9 + 0.3 * len(arms)), sharey=True)
    for axis, ((condition, long), (title, colour)) in zip(panels, PANELS.items(), strict=True):
        length = lengths.max() if long else lengths.min()
        of = part[(part["condition"] == condition) & (lengths == length)]
        for state, (label, face) in STATES.items():
            rows = of[of["state"] == state].set_index("arm")
            rows = rows.reindex([arm for arm in arms if arm in rows.index])
            places = [
                arms.index(arm) + (0.13 if state == "adapted" else -0.13) for arm in rows.index
            ]
            change, low, high = (
                rows[name].astype(float)
                for name in ("loss_change", "loss_change_low", "loss_change_high")
            )
            axis.errorbar(
                change, places, xerr=[change - low, high - change], fmt="o", color=colour,
                markerfacecolor=face or colour, elinewidth=0.9, markersize=4.5, label=label,
            )  # fmt: skip
        axis.axvline(0, color=GREY, linewidth=0.8)
        axis.set_xscale("symlog", linthresh=LINEAR, linscale=1.5)
        axis.xaxis.set_major_locator(FixedLocator(TICKS))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticklabels([f"{tick:g}" for tick in TICKS])
        axis.set_xlabel("loss less the untouched model's (nats a token)")
        axis.set_title(title.format(length), loc="left")
        axis.legend(loc="lower right" if long else "upper right")
    panels[0].set_yticks(range(len(arms)), [ARMS.get(arm, arm) for arm in arms])
    panels[0].invert_yaxis()
    return fig
