"""Write docs/mechanisms: an index and, for every mechanism, a page and a picture of its weights.

    python -m focused_attention.stages.pages

All is read off the folder listing, the classes and the tables; pages of mechanisms that are gone
are deleted. A smoke run's numbers are no results and are not shown.
"""

import argparse
import ast
import dataclasses
import importlib
import inspect
import io
import logging
import re
import textwrap
import tokenize
from collections.abc import Mapping

import numpy as np
import torch

from focused_attention import attention
from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import MECHANISMS, RESULTS
from focused_attention.plots.relations import spelt
from focused_attention.plots.untrained import (
    HEADS,
    PLAIN,
    POSITIONS,
    Weights,
    picture,
    steps,
    untrained,
)
from focused_attention.results import read_csv

INDEX = "README.md"
LARGER = "variants"  # the profile that has what the profile's own table lacks
UP = "../.."  # from a page to the repository's root
MAKER = "<!-- written by `python -m focused_attention.stages.pages`; edit the class instead -->"
CAN = {  # class attributes of a mechanism, in words
    "causal": "can hide the future",
    "cross": "can attend to another sequence",
    "masked": "padding never changes an item's output",
    "weighted": "has rows of weights to show",
    "normalised": "these sum to one, or to zero where nothing is seen",
    "tempered": "has a temperature",
    "recurrent": "its decoding state does not grow",
}
COLUMNS = (  # that are read of tables/variants.csv
    "arm", "mechanism", "slot", "seeds", "words_wer", "difference", "low", "high", "p_holm",
    "shrunken", "entropy", "support", "multiplications_140", "multiplications_1500", "note",
)  # fmt: skip


def pages(profile: str) -> dict[str, bytes]:
    """The content of every file of docs/mechanisms, by name."""
    files, plain = {INDEX: index().encode()}, untrained(PLAIN)
    tables = {of: varied(of) for of in dict.fromkeys((profile, LARGER))}
    for name in attention.names():
        weights = untrained(name)
        parts = [*about(name), *figure(name, weights, plain), *numbers(name, tables), MAKER]
        files[f"{name}.md"] = ("\n\n".join(parts) + "\n").encode()
        if weights.rows is not None:
            files[f"{name}.png"] = picture(weights.rows)
    return files


def index() -> str:
    """Every mechanism with the first line of its docstring, by family."""
    parts = [
        "# Every mechanism",
        "A page each: formula and source, settings, what it can do, a picture of its weights, and "
        "what it makes of a trained reader. They are used as [attention.md](../attention.md) says, "
        f"and added as [CONTRIBUTING.md]({UP}/CONTRIBUTING.md#add-a-mechanism) says.",
    ]
    for family in attention.FAMILIES:
        module = importlib.import_module(f"{attention.__name__}.{family}")
        lines = [row("mechanism", "what it does"), row("---", "---")]
        for name, path in attention.names().items():
            if path.parent.name == family:
                lines.append(row(link(name), cell(said(name)[0])))
        parts += [f"## {family}", inspect.getdoc(module), "\n".join(lines)]
    return "\n\n".join([*parts, MAKER]) + "\n"


def about(name: str) -> list[str]:
    """What a mechanism says of itself."""
    config, cls = attention.load(name)
    path = attention.names()[name]
    file = f"src/{attention.__name__.replace('.', '/')}/{path.parent.name}/{path.name}"
    first, body = said(name)
    fields, beside = dataclasses.fields(config), comments(config)
    lines = [row("setting", "default", "meaning"), row("---", "---", "---")]
    lines += [row(f"`{f.name}`", default(f), cell(beside.get(f.name, ""))) for f in fields]
    can = [row(*CAN), row(*["---"] * len(CAN))]
    can.append(row(*("yes" if getattr(cls, each) else "no" for each in CAN)))
    words = "; ".join(f"*{each}*: {meaning}" for each, meaning in CAN.items())
    return [
        f"# {name}",
        f"Family [{path.parent.name}]({INDEX}#{path.parent.name}), [{path.name}]({UP}/{file})",
        f"**{escaped(first)}**",
        *body,
        "## Settings",
        "\n".join(lines) if fields else "None.",
        "## What it can do",
        "\n".join(can),
        f"{words}.",
        neutral(name, cls),
    ]


def neutral(name: str, cls: type) -> str:
    """What the mechanism is a special case of."""
    if isinstance(cls.neutral, str):
        return f"**Neutral limit:** none: {escaped(cls.neutral)}."
    source, settings = cls.neutral
    if source == name:
        return "**Neutral limit:** this mechanism, on which others are built."
    at = f" with {escaped(spelt(settings))}" if settings else ""
    return f"**Neutral limit:** having adopted {link(source)}, it computes the same{at}."


def said(name: str) -> tuple[str, list[str]]:
    """The first line of a mechanism's class docstring, and the rest as paragraphs of Markdown."""
    first, _, rest = inspect.getdoc(attention.load(name)[1]).partition("\n")
    return first, [marked(block) for block in re.split(r"\n[ \t]*\n", rest.strip("\n")) if block]


def marked(block: str) -> str:
    """A paragraph of a docstring as Markdown: doctests and what is indented are code."""
    if block.startswith(">>>"):
        return f"```python\n{block}\n```"
    if all(line.startswith("    ") for line in block.splitlines()):
        return block
    text = re.sub(r"^(?=[-+=#])", r"\\", escaped(block), flags=re.MULTILINE)
    return re.sub(r"(?:^|(?<=\s))(Deviation|Cost):", r"**\1:**", text)


def escaped(text: str) -> str:
    r"""Text in which Markdown finds nothing to do, but for code and addresses.

    >>> escaped("S_t = S_{t-1} * k, `a_b*`")
    'S_t = S\\_{t-1} \\* k, `a_b*`'
    """
    kept, rest = r"(`[^`]*`|https?://\S+)", r"([\\*<~]|(?<!\w)_|_(?!\w)|\](?=\())"
    return re.sub(f"{kept}|{rest}", lambda found: found[1] or f"\\{found[2]}", text)


def cell(text: str) -> str:
    """Text in a table."""
    return escaped(text).replace("|", "\\|")


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def link(name: str) -> str:
    return f"[`{name}`]({name}.md)"


def default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    made = field.default_factory
    return "none" if made is dataclasses.MISSING else f"`{made()!r}`"


def comments(config: type) -> dict[str, str]:
    """The comment that stands beside every field of a dataclass and of those it is built on."""
    found = {}
    for cls in filter(dataclasses.is_dataclass, reversed(config.__mro__)):
        source = textwrap.dedent(inspect.getsource(cls))
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        beside = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
        for node in ast.parse(source).body[0].body:
            if isinstance(node, ast.AnnAssign):
                lines = range(node.lineno, node.end_lineno + 1)
                found[node.target.id] = " ".join(beside[n] for n in lines if n in beside)
    return found


def figure(name: str, weights: Weights, plain: Weights) -> list[str]:
    """The picture of a mechanism's weights, and what it shows."""
    title, rows = "## Its weights", weights.rows
    if rows is None:
        return [title, "No weights to show: it has no rows of them."]
    start = "that has adopted a random plain layer" if weights.adopted else "as it is initialised"
    ends = "white is 0, red more and blue less" if rows.min() < 0 else "dark is 0"
    but = f" but {spelt(weights.settings)}" if weights.settings else ""
    text = (
        f"One of {HEADS} heads of an untrained layer {start}, with default settings{but} and "
        f"without causality: a row for each of {POSITIONS} queries, a column for each key; {ends}, "
        f"and the largest weight is {rows.max():.2f}. Neighbours in the input are alike."
    )
    if name != PLAIN and np.array_equal(steps(rows), steps(plain.rows)):
        text += (
            f" These are the weights of {link(PLAIN)}: what is changed is elsewhere, begins as "
            "nothing, or does nothing in so short a sequence."
        )
    return [title, f"![Rows of weights of {name}]({name}.png)", text]


def varied(profile: str) -> list[dict[str, str]]:
    """The rows of tables/variants.csv, if there is one. Raises UserError if it lacks a column."""
    path = RESULTS / profile / "tables" / "variants.csv"
    table = read_csv(path) if path.exists() else []
    lacking = [column for column in COLUMNS if table and table[0].get(column) is None]
    if lacking:
        raise UserError(f"{path}: no column {lacking[0]!r}; run `dvc repro -f collect`")
    return table


def numbers(name: str, tables: Mapping[str, list[dict[str, str]]]) -> list[str]:
    """What a trained reader makes of the mechanism, in the first profile that has arms with it."""
    title = "## In a trained reader"
    for profile, table in tables.items():
        arms = [of for of in table if name in of["mechanism"].split() and of["difference"]]
        if arms:
            (control,) = (of for of in table if not of["difference"])
            text = (
                f"Trained `{table[0]['arm']}` goes on with this mechanism: word error rate on word "
                f"strings (greedy) in points, less that of `{control['arm']}`, which goes on as it "
                f"is ({100 * float(control['words_wer']):.1f} %), with its bootstrap interval; p "
                "among all arms, by Holm; the difference shrunken towards theirs; entropy over "
                "log n of the changed layer's rows, and the keys of a uniform row of the same "
                "entropy; millions of multiplications in a sequence of 140 and of 1500 positions. "
                f"Profile `{profile}`, seeds per arm: {arms[0]['seeds']}."
            )
            return [title, compared(arms), text]
    looked = " and ".join(f"`{profile}`" for profile in tables)
    return [title, f"No numbers yet: no arm in the tables of {looked} goes on with it."]


def compared(arms: list[dict[str, str]]) -> str:
    """A table of the arms that go on with a mechanism, and why the entropy of some is not known."""
    head = ("arm", "slot", "word errors", "p", "shrunken", "entropy", "keys", "at 140", "at 1500")
    lines, notes = [row(*head), row("---", "---", *["---:"] * 7)], []
    for of in arms:
        change = f"{number(of['difference'], 100, '+.1f')} ["
        change += f"{number(of['low'], 100)}, {number(of['high'], 100)}]"
        shares = number(of["entropy"], 1, ".2f"), number(of["support"])
        costs = [number(of[f"multiplications_{length}"], 1e-6) for length in (140, 1500)]
        tests = number(of["p_holm"], 1, ".3f"), number(of["shrunken"], 100, "+.1f")
        lines.append(row(f"`{of['arm']}`", of["slot"], change, *tests, *shares, *costs))
        notes += [f"\n`{of['arm']}`: {escaped(of['note'])}."] if of["note"] else []
    return "\n".join(lines + notes)


def number(text: str, factor: float = 1, form: str = ".1f") -> str:
    return f"{factor * float(text):{form}}".replace("-", "−") if text else "–"


def write(files: Mapping[str, bytes]) -> None:
    """Write the folder, and delete the pages and pictures that are not among the files."""
    MECHANISMS.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        partial = MECHANISMS / f"{name}.partial"
        partial.write_bytes(content)
        partial.replace(MECHANISMS / name)
    for path in MECHANISMS.iterdir():
        if path.suffix in (".md", ".png") and path.name not in files:
            path.unlink()
            logging.info("deleted %s", path)


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description="Write a page for every mechanism.").parse_args(argv)
    params = load()
    if params.profile == "smoke":
        logging.info("%s: left as it is; a smoke run has no results to show", MECHANISMS)
        return
    torch.set_num_threads(params.threads)
    files = pages(params.profile)
    write(files)
    logging.info("%s: %d files, results of profile %s", MECHANISMS, len(files), params.profile)


if __name__ == "__main__":
    run(main)
