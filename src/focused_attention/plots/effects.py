"""The effects of the second trial's claims beside each other."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from focused_attention.plots.regimes import unmeasured
from focused_attention.plots.style import BLUE, GREEN, GREY, PAGE, VERMILLION

TOLD = {"supported": BLUE, "refuted": VERMILLION, "equivalent": GREEN}


def effects(claims: Mapping[str, Mapping], margin: float) -> Figure:
    """Every claim's effect in points with both intervals, and the margin around zero.

    `claims` are those of verdicts.json; C0 is a rate, and what was not compared has no effect.
    """
    judged = {name: c for name, c in claims.items() if name != "C0" and c.get("effect") is not None}
    if not judged:
        return unmeasured()
    fig, axes = plt.subplots(figsize=(PAGE, 0.33 * len(judged) + 0.8))
    axes.axvspan(-100 * margin, 100 * margin, color="#EEEEEE", linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.8)
    for place, claim in enumerate(judged.values()):
        colour = TOLD.get(claim["verdict"], GREY)
        for low, high, shift, width in (
            ("low", "high", 0.0, 2.0),
            ("model_low", "model_high", 0.22, 0.8),
        ):
            if claim[low] is not None:
                ends = 100 * claim[low], 100 * claim[high]
                axes.plot(ends, [place + shift] * 2, color=colour, linewidth=width)
        axes.plot(100 * claim["effect"], place, "o", color=colour)
        axes.annotate(
            claim["verdict"], (1.01, place), xycoords=("axes fraction", "data"), va="center",
            fontsize=8, color=colour,
        )  # fmt: skip
    axes.set_yticks(range(len(judged)), list(judged))
    axes.invert_yaxis()
    axes.set_xlabel("effect in points (C2: hundredths); the claimed side is to the right")
    axes.grid(visible=False, axis="y")
    return fig
