"""The look of every figure: one theme, one colour and one label per arm, the paper's sizes."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from focused_attention.params import load
from focused_attention.paths import FIGURES, PARAMS

COLUMN, PAGE = 3.35, 6.95  # inches: one column and the full width of the paper's text block

# Okabe and Ito's palette, which people with any colour vision can tell apart.
BLUE, VERMILLION, SKY, ORANGE = "#0072B2", "#D55E00", "#56B4E9", "#E69F00"
GREEN, PURPLE, BLACK, GREY = "#009E73", "#CC79A7", "#222222", "#8A8A8A"
YELLOW = "#B59F00"  # the palette's, darker, to be seen on white
INDIGO, WINE, BROWN = "#332288", "#882255", "#7A4B1E"  # Tol's dark ones: it has too few colours
DASHED, DOTTED = "--", ":"
KNOWN = {  # colour and dash: one colour for an arm, and for the mechanism that it stands for
    "whisper": (BLUE, "-"),
    "echo": (VERMILLION, "-"),
    "rotary": (VERMILLION, "-"),
    "whisper-8": (SKY, "-"),
    "echo-16": (ORANGE, "-"),
    "focused": (GREEN, "-"),
    "echo-focused": (GREEN, "-"),
    "whisper-focused": (INDIGO, DOTTED),
    "adaptive_span_published": (BROWN, DASHED),
    "hybrid": (PURPLE, "-"),
    "echo-hybrid": (PURPLE, "-"),
    "hybrid_published": (WINE, DASHED),
    "echo-hybrid-published": (WINE, DASHED),
    "local": (BLACK, "-"),
    "echo-local": (BLACK, "-"),
    "mixture_autoregressive": (YELLOW, "-"),
    "echo-moa": (YELLOW, "-"),
}
MECHANISMS = {
    "whisper": "plain softmax",
    "rotary": "rotary",
    "focused": "focused",
    "hybrid": "hybrid",
    "local": "local",
    "adaptive_span_published": "adaptive span, published",
    "hybrid_published": "hybrid, published",
    "mixture_autoregressive": "mixture",
}
SCHEDULES = {  # of focused attention: what they are called, and their colours
    "off": ("schedule off", BLACK),
    "sharpen longer": ("sharpen longer", BLUE),
    "sharpen shorter": ("sharpen shorter", ORANGE),
    "learned": ("learned", GREEN),
    "learned span": ("learned from span", PURPLE),
    "log length": ("log length", SKY),
}
PLACES = {"cross": (0, (5, 1)), "encoder": (0, (2, 1))}  # their dashes
OTHERS = (GREEN, PURPLE, BLACK)
DASHES = ("-.", (0, (1, 1)), (0, (6, 2)), (0, (3, 1, 1, 1, 1, 1)))
SPLITS = {"train": BLUE, "dev": ORANGE, "test": GREEN}
TASKS = {
    "digits": "digit strings",
    "words": "word strings",
    "transcribe": "whole prompts",
}

THEME = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "font.family": "STIXGeneral",  # ships with matplotlib, close to the paper's Libertinus
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#555555",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "focused attention",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How an arm looks in every figure."""

    label: str
    colour: str
    dash: str | tuple  # as matplotlib names or describes it


def start() -> None:
    """Apply the theme, and work from the repository's root wherever the notebook was opened."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PARAMS).is_file():
            os.chdir(folder)
            break
    theme()


def theme() -> None:
    """Set matplotlib's parameters from its defaults, so that no user's settings leak in."""
    backend = mpl.get_backend()
    mpl.rcdefaults()
    mpl.rcParams.update(THEME)
    mpl.use(backend)


def save(fig: Figure, name: str) -> None:
    """Write paper/figures/NAME.pdf, NAME as in 02-pilot/wer, with the same bytes on every run."""
    path = FIGURES / f"{name}.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    dates = {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None}
    fig.savefig(partial, format="pdf", dpi=300, metadata=dates)
    partial.replace(path)


def styles(arms: pd.DataFrame) -> dict[str, Style]:
    """Label, colour and dash of every arm in the table of arms (columns arm, model, heads).

    The arms of the paper have looks of their own; the others take colours of the palette in the
    table's order, with dashes that no arm of the paper has.
    """
    looks = {}
    others = [arm for arm in arms["arm"] if not known(arm)]
    for row in arms.itertuples():
        plain = row.arm in (row.model, f"{row.model}-{row.heads}")
        label = f"{row.model.capitalize()}, {row.heads} heads" if plain else spoken(row.arm)
        looks[row.arm] = look_of(row.arm, label, others)
    return looks


def mechanisms(names: list[str]) -> dict[str, Style]:
    """Label, colour and dash of attention mechanisms, those of the arms that use them."""
    others = [name for name in names if not known(name)]
    return {
        name: look_of(name, MECHANISMS.get(name, name.replace("_", " ")), others) for name in names
    }


def named(arms: Iterable[str]) -> dict[str, Style]:
    """Label, colour and dash of arms of which nothing but the names is given, as `styles` has them.

    A plain arm is called by its model alone: "echo" -> "Echo".
    """
    arms = list(dict.fromkeys(arms))
    others = [arm for arm in arms if not known(arm)]
    return {arm: look_of(arm, spoken(arm), others) for arm in arms}


def known(name: str) -> tuple | None:
    """Colour and dash of an arm or mechanism that has a look of its own."""
    if name in KNOWN:
        return KNOWN[name]
    focused = focused_arms().get(name)
    if focused and focused.model == "echo" and not focused.more:
        return SCHEDULES[focused.schedule][1], PLACES[focused.slot]
    return None


def look_of(name: str, label: str, others: list[str]) -> Style:
    """The style of an arm or mechanism; `others` are those that have no look of their own."""
    if look := known(name):
        colour, dash = look
        return Style(label=label, colour=colour, dash=dash)
    turn, index = divmod(others.index(name), len(OTHERS))
    return Style(label=label, colour=OTHERS[index], dash=DASHES[turn % len(DASHES)])


def lines(axes, table: pd.DataFrame, column: str, look: dict[str, Style]) -> None:
    """Draw column against step: a thin line per seed, the mean of an arm's seeds in bold."""
    for arm, style in look.items():
        part = table[table["arm"] == arm]
        if part.empty:
            continue
        kind = {"color": style.colour, "linestyle": style.dash}
        if part["seed"].nunique() > 1:
            for _, seed in part.groupby("seed"):
                axes.plot(seed["step"], seed[column], **kind, linewidth=0.6, alpha=0.4)
        mean = part.groupby("step")[column].mean()
        axes.plot(mean.index, mean, **kind, label=style.label)


def legend_below(fig: Figure, axes, labels: list[str] | None = None) -> None:
    handles, names = axes.get_legend_handles_labels()
    labels = labels or names
    fig.legend(handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))))


def tasks_of(table: pd.DataFrame) -> list[str]:
    """The table's tasks, the pilot's three first and in order of difficulty."""
    found = list(dict.fromkeys(table["task"]))
    return [t for t in TASKS if t in found] + [t for t in found if t not in TASKS]


def spoken(name: str) -> str:
    """The label of an arm whose name says it all.

    "echo-hybrid" -> "Echo hybrid"; focused attention by its settings, "Echo cross, sharpen longer".
    """
    if focused := focused_arms().get(name):
        label = f"{focused.model.capitalize()} {focused.slot}, {SCHEDULES[focused.schedule][0]}"
        return ", ".join((label, *focused.more))
    return name.replace("-", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Focused:
    """What the focused attention of an arm is, from its row of params.yaml."""

    model: str
    slot: str  # encoder or cross
    schedule: str  # a key of `SCHEDULES`
    more: tuple[str, ...]  # in what it differs from the first arm of its kind


def focused_arms() -> dict[str, Focused]:
    """The arms of params.yaml with focused attention in all the encoder or in cross-attention."""
    return _focused_arms(PARAMS.resolve()) if PARAMS.exists() else {}


@cache
def _focused_arms(file: Path) -> dict[str, Focused]:
    found, first = {}, {}
    for name, arm in load(file).arms.items():
        for slot in PLACES:
            row = getattr(arm, slot)
            if row.get("mechanism") != "focused" or name in KNOWN:
                continue
            kind = arm.model, slot, schedule_of(row)
            base = first.setdefault(kind, row)
            differ = [value for key, value in row.items() if value != base.get(key)]
            words = (f"{v:g}" if isinstance(v, float) else str(v) for v in differ)
            found[name] = Focused(*kind, tuple(words))
    return found


def schedule_of(row: Mapping) -> str:
    """The schedule of a slot's temperature, in words; of the published one, which of its lines."""
    schedule = row.get("schedule", "published")
    if schedule == "published":
        return f"sharpen {'longer' if row.get('sharpen_longer') else 'shorter'}"
    return schedule.replace("_", " ")
