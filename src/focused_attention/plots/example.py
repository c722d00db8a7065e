"""The worked example of notebook 06-recall: a recording, where one head looks, and the answers."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from focused_attention.plots.haystack import legend
from focused_attention.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ROLES = {  # of words and of digits, and their colours
    "value": ("the value asked for", GREEN),
    "key": ("the key asked", BLUE),
    "digit": ("other digits that are heard", ORANGE),
    "word": ("everything else", GREY),
}


def example(found: Mapping) -> Figure:
    """Where one head looks along a recording, and how probable every digit is: a row a temperature.

    `found` is the content of example.json. The words stand above in their true places. Weights and
    probabilities have the same axes in every row, so that what is diffuse looks diffuse.
    """
    answers, roles = found["answers"], roles_of(found["words"], found["key"], found["value"])
    colours = {role: colour for role, (_, colour) in ROLES.items()}
    fig, panels = plt.subplots(
        len(answers),
        2,
        figsize=(PAGE, 1.4 + 1.05 * len(answers)),
        width_ratios=(5, 2),
        sharex="col",
        sharey="col",
        squeeze=False,
    )
    heard = {w["word"] for w in found["words"]} - {found["value"]}
    bars = [
        colours["value" if digit == found["value"] else "digit" if digit in heard else "word"]
        for digit in DIGITS
    ]
    for (look, say), of in zip(panels, answers, strict=True):
        weights = 100 * np.array(of["weights"])
        edges = np.arange(len(weights) + 1) * found["seconds_per_position"]
        look.stairs(weights, edges, color=BLACK, linewidth=1.1)
        for word, role in zip(found["words"], roles, strict=True):
            if role != "word":
                place = (word["start"], word["end"])
                look.axvspan(*place, color=colours[role], alpha=0.22, linewidth=0)
        look.set_ylabel(f"temperature\n{of['temperature']:g}", rotation=0, ha="right", va="center")
        say.bar(range(len(DIGITS)), [100 * of["digits"][d] for d in DIGITS], color=bars)
        right = "right" if of["answer"] == found["value"] else "wrong"
        say.set_title(f"writes “{of['answer'] or 'nothing'}”, {right}", fontsize=8)
        say.set_ylabel("probability (%)", fontsize=8)
        say.grid(axis="x", visible=False)
    top, (last, digits) = panels[0, 0], panels[-1]
    above = top.get_xaxis_transform()
    for word, role in zip(found["words"], roles, strict=True):
        kind = {"color": colours[role], "linewidth": 3, "clip_on": False, "transform": above}
        top.plot([word["start"], word["end"]], [1.06, 1.06], **kind, solid_capstyle="butt")
        top.text(
            (word["start"] + word["end"]) / 2,
            1.13,
            word["word"],
            transform=above,
            rotation=60,
            ha="left",
            va="bottom",
            rotation_mode="anchor",
            fontsize=7.5,
            color=colours[role] if role != "word" else "#555555",
        )
    last.set(xlabel="time (s)", xlim=(0, found["seconds"]), ylim=(0, None))
    digits.set(xlabel="digit", ylim=(0, 103))
    digits.set_xticks(range(len(DIGITS)))
    fig.supylabel("weight of one head (%)", fontsize=8)
    legend(fig, {label: Patch(color=colour, alpha=0.7) for label, colour in ROLES.values()})
    return fig


def roles_of(words: list[Mapping], key: str, value: str) -> list[str]:
    """What every word is to the question: its key, its value, another digit, or to be passed over.

    The value is the word after the key: the same digit may be said twice.
    """
    texts = [word["word"] for word in words]
    asked = texts.index(key)
    roles = ["digit" if text in DIGITS else "word" for text in texts]
    roles[asked], roles[asked + 1] = "key", "value"
    if texts[asked + 1] != value:
        raise ValueError(f"words: expected {value!r} after {key!r}, given {texts[asked + 1]!r}")
    return roles
