"""Every figure's drawing code: tidy tables in, matplotlib figures out.

One theme, one colour and one label per arm, sizes that fit the paper's columns. A notebook calls
`start()`, then one function per figure, then `save(fig, name)` for the figures the paper shows.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from focused_attention.paths import FIGURES, PARAMS

COLUMN, PAGE = 3.35, 6.95  # inches: one column and the full width of the paper's text block

# Okabe and Ito's palette, which people with any colour vision can tell apart.
BLUE, VERMILLION, SKY, ORANGE = "#0072B2", "#D55E00", "#56B4E9", "#E69F00"
GREEN, PURPLE, BLACK, GREY = "#009E73", "#CC79A7", "#222222", "#8A8A8A"
YELLOW = "#B59F00"  # the palette's, darker, to be seen on white
DASHED, DOTTED = "--", ":"
KNOWN = {  # colour and dash of arms and of mechanisms: one colour for what is one mechanism
    "whisper": (BLUE, "-"),
    "echo": (VERMILLION, "-"),
    "rotary": (VERMILLION, "-"),
    "whisper-8": (SKY, "-"),
    "echo-16": (ORANGE, "-"),
    "focused": (GREEN, "-"),
    "echo-focused": (GREEN, "-"),
    "whisper-focused": (GREEN, DOTTED),
    "adaptive_span_published": (GREEN, DASHED),
    "hybrid": (PURPLE, "-"),
    "echo-hybrid": (PURPLE, "-"),
    "hybrid_published": (PURPLE, DASHED),
    "echo-hybrid-published": (PURPLE, DASHED),
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
    """Write paper/figures/NAME.pdf with the same bytes on every run."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    path = FIGURES / f"{name}.pdf"
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
    others = [arm for arm in arms["arm"] if arm not in KNOWN]
    for row in arms.itertuples():
        plain = row.arm in (row.model, f"{row.model}-{row.heads}")
        label = f"{row.model.capitalize()}, {row.heads} heads" if plain else _words(row.arm)
        looks[row.arm] = _look(row.arm, label, others)
    return looks


def mechanisms(names: list[str]) -> dict[str, Style]:
    """Label, colour and dash of attention mechanisms, those of the arms that use them."""
    others = [name for name in names if name not in KNOWN]
    return {
        name: _look(name, MECHANISMS.get(name, name.replace("_", " ")), others) for name in names
    }


def spectrogram(features: np.ndarray, words: pd.DataFrame, seconds_per_frame: float) -> Figure:
    """A log-mel spectrogram (frames, mels) with every word between its known boundaries.

    `words` has the columns word, start and end, in frames.
    """
    n_frames, n_mels = features.shape
    seconds = n_frames * seconds_per_frame
    fig, axes = plt.subplots(figsize=(PAGE, 2.1))
    image = axes.imshow(
        features.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, -0.5, n_mels - 0.5),
        cmap="magma",
        interpolation="nearest",
        rasterized=True,
    )
    for row in words.itertuples():
        start, end = row.start * seconds_per_frame, row.end * seconds_per_frame
        for edge in (start, end):
            axes.axvline(edge, color="white", linewidth=0.8, linestyle=(0, (3, 2)))
        axes.plot([start, end], [n_mels + 1.5] * 2, color=BLUE, linewidth=2.5, clip_on=False)
        axes.annotate(
            row.word,
            ((start + end) / 2, n_mels + 3),
            ha="center",
            va="bottom",
            annotation_clip=False,
        )
    axes.set_ylim(-0.5, n_mels - 0.5)
    kilohertz = np.array([0.5, 1, 2, 4])
    axes.set_yticks(_mel_bin(1000 * kilohertz, n_mels), [f"{f:g}" for f in kilohertz])
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)")
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = fig.colorbar(image, ax=axes, pad=0.01, fraction=0.03)
    bar.set_label("normalised log-mel power")
    bar.outline.set_visible(False)
    return fig


def corpus(recordings: pd.DataFrame) -> Figure:
    """How long the recordings are, and how many minutes each split of a language holds.

    `recordings` has the columns corpus, language, split and seconds, one row per recording.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.2), width_ratios=(3, 2))
    sns.histplot(
        recordings,
        x="seconds",
        hue="split",
        hue_order=list(SPLITS),
        palette=SPLITS,
        multiple="stack",
        log_scale=True,
        bins=30,
        alpha=1,
        linewidth=0,
        ax=left,
    )
    left.xaxis.set_major_locator(FixedLocator([0.2, 0.5, 1, 2, 5, 10, 20, 60]))
    left.xaxis.set_minor_locator(FixedLocator([]))
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.set(xlabel="length as recorded (s, logarithmic)", ylabel="recordings")

    groups = recordings.assign(minutes=recordings["seconds"] / 60)
    groups = groups.groupby(["corpus", "language", "split"], as_index=False)["minutes"].sum()
    groups["group"] = groups["corpus"].str.capitalize() + " · " + groups["language"]
    names = list(dict.fromkeys(groups["group"]))
    height = 0.8 / len(SPLITS)
    for offset, (split, colour) in enumerate(SPLITS.items()):
        part = groups[groups["split"] == split].set_index("group")["minutes"].reindex(names)
        rows = np.arange(len(names)) + (offset - 1) * height
        bars = right.barh(rows, part.fillna(0), height=height * 0.9, color=colour)
        right.bar_label(bars, fmt=f"{split} %.1f", padding=3, fontsize=8)
    right.set_yticks(np.arange(len(names)), names)
    right.invert_yaxis()
    right.set_xlim(right=groups["minutes"].max() * 1.45)
    right.set_xlabel("minutes as recorded")
    right.grid(axis="y", visible=False)
    return fig


def curves(train: pd.DataFrame, dev: pd.DataFrame, look: dict[str, Style]) -> Figure:
    """Training loss, dev loss and dev WER of every task against the training step.

    `train` has the columns arm, seed, step and loss; `dev` arm, seed, step, task, loss and wer
    (a fraction). A thin line is one seed, the bold one the mean of an arm's seeds.
    """
    tasks = _tasks(dev)
    fig, panels = plt.subplots(1, 2 + len(tasks), figsize=(PAGE, 2.15))
    percent = dev.assign(wer=100 * dev["wer"])
    everything = dev.groupby(["arm", "seed", "step"], as_index=False)["loss"].mean()
    _lines(panels[0], train, "loss", look)
    panels[0].set(title="training loss", ylabel="loss (nats)")
    _lines(panels[1], everything, "loss", look)
    panels[1].set(title="dev loss", ylabel="nats per token")
    for panel, task in zip(panels[2:], tasks, strict=True):
        _lines(panel, percent[percent["task"] == task], "wer", look)
        panel.set(title=TASKS.get(task, task), ylim=(0, None))
    if tasks:
        panels[2].set_ylabel("dev WER (%)")
    for panel in panels:
        panel.set_xlabel("step")
        panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    _legend_below(fig, panels[0])
    return fig


def error_rates(wer: pd.DataFrame, look: dict[str, Style], decoding: str = "beam") -> Figure:
    """Test WER of every arm with its bootstrap interval, one panel a task.

    `wer` has the columns arm, task, decoding, wer, wer_low and wer_high (fractions); of several
    rows of an arm and task, as there are for several languages, the first counts.
    """
    table = wer[wer["decoding"] == decoding].drop_duplicates(["arm", "task"])
    tasks = _tasks(table)
    arms = [arm for arm in look if arm in set(table["arm"])]
    fig, panels = plt.subplots(
        1, len(tasks), figsize=(PAGE, 0.75 + 0.22 * len(arms)), sharey=True, squeeze=False
    )
    for panel, task in zip(panels[0], tasks, strict=True):
        part = table[table["task"] == task].set_index("arm")
        for row, arm in enumerate(arms):
            if arm not in part.index:
                continue
            value, low, high = 100 * part.loc[arm, ["wer", "wer_low", "wer_high"]].astype(float)
            panel.plot([low, high], [row, row], color=look[arm].colour, linewidth=2, alpha=0.55)
            panel.plot(value, row, "o", color=look[arm].colour, markersize=5)
            panel.annotate(
                f"{value:.1f}",
                (value, row),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
            )
        panel.set(title=TASKS.get(task, task), xlabel="test WER (%)")
        panel.set_xlim(0, 115 * max(part["wer_high"].max(), 0.01))
        panel.grid(axis="y", visible=False)
    panels[0, 0].set_yticks(range(len(arms)), [look[arm].label for arm in arms])
    panels[0, 0].set_ylim(len(arms) - 0.5, -0.75)
    return fig


def ratios(rows: pd.DataFrame) -> Figure:
    """How many times faster than its peer each operation is, on a logarithmic axis.

    `rows` are a benchmark's: name, peer, ratio and target, as in "<= 1.0" for a ratio of times and
    ">= 4.0" for a ratio of speeds. A row without a peer is left out.
    """
    rows = rows[rows["peer"].notna()]
    times = rows["target"].str.startswith("<")
    goal = rows["target"].str.lstrip("<>= ").astype(float)
    rows = rows.assign(
        speedup=rows["ratio"].where(~times, 1 / rows["ratio"]), target=goal.where(~times, 1 / goal)
    )
    fig, axes = plt.subplots(figsize=(PAGE, 0.6 + 0.24 * len(rows)))
    for position, row in enumerate(rows.itertuples()):
        colour = BLUE if row.speedup >= 1 else VERMILLION
        axes.plot([1, row.speedup], [position] * 2, color=colour, linewidth=2, alpha=0.55)
        axes.plot(row.speedup, position, "o", color=colour, markersize=5)
        side = 1 if row.speedup >= 1 else -1
        axes.annotate(
            f"{row.speedup:.0f}×" if row.speedup >= 10 else f"{row.speedup:.2g}×",
            (row.speedup, position),
            xytext=(6 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=8,
        )
        axes.plot(row.target, position, "|", color=BLACK, markersize=10, markeredgewidth=1.2)
    axes.axvline(1, color=GREY, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.margins(x=0.12)
    axes.set_yticks(range(len(rows)), rows["name"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("times faster than the peer (bar: the target)")
    axes.grid(axis="y", visible=False)
    return fig


def runtime(timings: pd.DataFrame, between: tuple[int, int] = (1500, 12000)) -> Figure:
    """Time and peak memory of every mechanism against length, on logarithmic axes.

    `timings` has the columns mechanism, length, forward_ms, forward_floor_ms, both_ms,
    both_floor_ms and peak_mib. Thin lines are the floors: what the counted multiplications and
    bytes would take. A label ends with the growth exponent p of the time of forward and backward,
    time ~ lengthᵖ, between the two lengths, or those that were measured nearest to them.
    """
    looks = mechanisms(list(dict.fromkeys(timings["mechanism"])))
    known = timings["peak_mib"].notna().any()
    titles = {"forward": "forward", "both": "forward and backward"}
    fig, panels = plt.subplots(1, 3 if known else 2, figsize=(PAGE, 2.9))
    for panel, (column, title) in zip(panels[:2], titles.items(), strict=True):
        _growing(panel, timings, f"{column}_ms", looks)
        for name, style in looks.items():
            part = timings[timings["mechanism"] == name]
            floor = part[f"{column}_floor_ms"]
            panel.plot(part["length"], floor, color=style.colour, linewidth=0.5, alpha=0.8)
        panel.set(title=title)
    panels[0].set_ylabel("time (ms)")
    if known:
        _growing(panels[2], timings, "peak_mib", looks)
        panels[2].set(title="peak memory of both", ylabel="MiB")
    for panel in panels:
        panel.set_xlabel("length (frames)")
    labels = [f"{looks[name].label} ({growth(timings, name, between):.2f})" for name in looks]
    _legend_below(fig, panels[0], labels)
    return fig


def growth(
    timings: pd.DataFrame, mechanism: str, between: tuple[int, int], column: str = "both_ms"
) -> float:
    """The exponent p of column ~ lengthᵖ between the measured lengths nearest to the two."""
    values = timings[timings["mechanism"] == mechanism].set_index("length")[column]
    short, long = (min(values.index, key=lambda length: abs(length - end)) for end in between)
    if short == long:
        return float("nan")
    return float(np.log(values[long] / values[short]) / np.log(long / short))


def focus(train: pd.DataFrame, look: dict[str, Style]) -> Figure:
    """Span, temperature and the gradient of the span's predictor against the training step.

    `train` has the columns arm, seed, step and, of arms with focused attention, span (encoder
    positions), temperature (relative to standard attention) and predictor_grad_norm. Without such
    an arm the panels say so.
    """
    panels_of = {
        "span": "span (positions)",
        "temperature": "temperature",
        "predictor_grad_norm": "gradient norm of the predictor",
    }
    train = train.reindex(columns=[*dict.fromkeys((*train.columns, *panels_of))])
    train = train.dropna(subset=list(panels_of))
    fig, panels = plt.subplots(1, 3, figsize=(PAGE, 2.15))
    for panel, (column, title) in zip(panels, panels_of.items(), strict=True):
        _lines(panel, train, column, look)
        panel.set(title=title, xlabel="step")
        panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        if train.empty:
            where = {"transform": panel.transAxes, "ha": "center", "va": "center"}
            panel.text(0.5, 0.5, "no arm with\nfocused attention", color=GREY, **where)
    panels[0].set_ylim(bottom=0)
    if not train.empty:
        positive = train["predictor_grad_norm"].where(lambda norm: norm > 0)
        least = 1.0 if positive.isna().all() else positive.min()
        panels[2].set_yscale("symlog", linthresh=least)  # zero is a value: no gradient at all
        panels[2].set_ylim(bottom=-0.2 * least)
        _legend_below(fig, panels[0])
    return fig


def _growing(panel, timings: pd.DataFrame, column: str, looks: dict[str, Style]) -> None:
    """Draw column against length on two logarithmic axes, a line a mechanism."""
    for name, style in looks.items():
        part = timings[timings["mechanism"] == name]
        kind = {"color": style.colour, "linestyle": style.dash, "label": style.label}
        panel.plot(part["length"], part[column], marker="o", markersize=2.5, **kind)
    panel.set_xscale("log")
    panel.set_yscale("log")
    lengths = sorted(set(timings["length"]))
    panel.xaxis.set_major_locator(FixedLocator(lengths))
    panel.xaxis.set_minor_locator(FixedLocator([]))
    panel.set_xticks(lengths, [f"{length / 1000:g}k" for length in lengths])


def _look(name: str, label: str, others: list[str]) -> Style:
    """The style of an arm or mechanism; `others` are those that have no look of their own."""
    if name in KNOWN:
        colour, dash = KNOWN[name]
        return Style(label=label, colour=colour, dash=dash)
    turn, index = divmod(others.index(name), len(OTHERS))
    return Style(label=label, colour=OTHERS[index], dash=DASHES[turn % len(DASHES)])


def _lines(axes, table: pd.DataFrame, column: str, look: dict[str, Style]) -> None:
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


def _legend_below(fig: Figure, axes, labels: list[str] | None = None) -> None:
    handles, names = axes.get_legend_handles_labels()
    labels = labels or names
    fig.legend(handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))))


def _tasks(table: pd.DataFrame) -> list[str]:
    """The table's tasks, the pilot's three first and in order of difficulty."""
    found = list(dict.fromkeys(table["task"]))
    return [t for t in TASKS if t in found] + [t for t in found if t not in TASKS]


def _words(name: str) -> str:
    """The label of an arm whose name says it all: "echo-hybrid" -> "Echo hybrid"."""
    return name.replace("-", " ").capitalize()


def _mel_bin(hertz: np.ndarray, n_mels: int, top: float = 8000.0) -> np.ndarray:
    """Where frequencies lie among Whisper's mel bins (Slaney's scale: linear below 1 kHz)."""
    hertz = np.append(hertz, top)
    mels = np.where(hertz < 1000, 3 * hertz / 200, 15 + 27 * np.log(hertz / 1000) / np.log(6.4))
    return mels[:-1] / mels[-1] * (n_mels + 1) - 1
