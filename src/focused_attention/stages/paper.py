"""Compile the paper: paper/paper.typ and what it reads become paper/paper.pdf.

    python -m focused_attention.stages.paper

The text takes every number from results/PROFILE/, findings and verdicts from those of the profile
that params.yaml names as `findings`. A number that is missing fails the build, as does any warning.
The typst package is the whole toolchain: no fonts of the system, no downloads, a fixed date, hence
the same bytes on every run.
"""

import argparse
import logging
import re
import tempfile
from pathlib import Path

import typst

from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import PAPER, RESULTS
from focused_attention.results import shown

SOURCE = PAPER / "paper.typ"
OUTPUT = PAPER / "paper.pdf"
EPOCH = 0  # the date inside the PDF; it would otherwise be the time of compilation


def compile_paper(source: Path, profile: str, findings: str) -> bytes:
    """The PDF of `source` with the numbers of `profile` and the findings of another.

    Raises UserError with Typst's first message: a missing number, file or figure, or a warning.
    """
    if not (RESULTS / profile).is_dir():
        raise UserError(
            f"{RESULTS / profile}: no results of profile {profile!r}; run `dvc repro collect` first"
        )
    shown(findings)
    with tempfile.TemporaryDirectory() as packages:
        compiler = typst.Compiler(
            source,
            root=Path.cwd(),
            font_paths=[],
            ignore_system_fonts=True,
            sys_inputs={"profile": profile, "findings": findings},
            package_path=packages,
            package_cache_path=packages,
        )
        try:
            pdf, warnings = compiler.compile_with_warnings(format="pdf", timestamp=EPOCH)
        except typst.TypstError as error:
            raise UserError(_line(error)) from None
    if warnings:
        raise UserError(f"{_line(warnings[0])} (a warning fails the build)")
    return pdf


def _line(problem: Exception) -> str:
    """A Typst error or warning with its place and hints, in one line."""
    place = re.search(r"┌─ (\S+:\d+)", problem.diagnostic or "")
    parts = [problem.message, *(f"hint: {hint}" for hint in problem.hints)]
    message = " ".join("; ".join(parts).split())
    return f"{place[1]}: {message}" if place else f"{SOURCE}: {message}"


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description="Compile paper/paper.typ to paper/paper.pdf.").parse_args(
        argv
    )
    params = load()
    pdf = compile_paper(SOURCE, params.profile, params.findings)
    partial = OUTPUT.with_suffix(".partial")
    partial.write_bytes(pdf)
    partial.replace(OUTPUT)
    logging.info("wrote %s", OUTPUT)


if __name__ == "__main__":
    run(main)
