"""Figures of notebook 02-pilot: learning curves, error rates and speed against the peers."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from focused_attention.plots.style import (
    BLACK,
    BLUE,
    GREY,
    PAGE,
    TASKS,
    VERMILLION,
    Style,
    legend_below,
    lines,
    tasks_of,
)


def curves(train: pd.DataFrame, dev: pd.DataFrame, look: dict[str, Style]) -> Figure:
    """Training loss, dev loss and dev WER of every task against the training step.

    `train` has the columns arm, seed, step and loss; `dev` arm, seed, step, task, loss and wer
    (a fraction). A thin line is one seed, the bold one the mean of an arm's seeds.
    """
    tasks = tasks_of(dev)
    fig, panels = plt.subplots(1, 2 + len(tasks), figsize=(PAGE, 2.15))
    percent = dev.assign(wer=100 * dev["wer"])
    everything = dev.groupby(["arm", "seed", "step"], as_index=False)["loss"].mean()
    lines(panels[0], train, "loss", look)
    panels[0].set(title="training loss", ylabel="loss (nats)")
    lines(panels[1], everything, "loss", look)
    panels[1].set(title="dev loss", ylabel="nats per token")
    for panel, task in zip(panels[2:], tasks, strict=True):
        lines(panel, percent[percent["task"] == task], "wer", look)
        panel.set(title=TASKS.get(task, task), ylim=(0, None))
    if tasks:
        panels[2].set_ylabel("dev WER (%)")
    for panel in panels:
        panel.set_xlabel("step")
        panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    legend_below(fig, panels[0])
    return fig


def error_rates(wer: pd.DataFrame, look: dict[str, Style], decoding: str = "beam") -> Figure:
    """Test WER of every arm with its bootstrap interval, one panel a task.

    `wer` has the columns arm, task, decoding, wer, wer_low and wer_high (fractions); of several
    rows of an arm and task, as there are for several languages, the first counts.
    """
    table = wer[wer["decoding"] == decoding].drop_duplicates(["arm", "task"])
    tasks = tasks_of(table)
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
