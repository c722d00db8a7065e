"""Word errors of what a heated Whisper writes, by kind, and against the untouched model.

Errors are counted per 100 words of the reference, over all recordings of a cell together.
"""

from collections.abc import Mapping

import numpy as np

from focused_attention.errors import UserError
from focused_attention.verdicts.dealt import drawn_of, numbers, prompts_of
from focused_attention.verdicts.hearing import estimate

KINDS = ("substitutions", "deletions", "insertions")


def table(
    model: str, rows: list[dict[str, str]], *, resamples: int, confidence: float
) -> list[dict]:
    """A row for every cell: each kind of error and `wer`, their sum; and by how much it differs
    from temperature 1 in the same recordings. Temperature 1 stands in every slot, in as many
    recordings as the slot has.

    Raises UserError where a length was not written at temperature 1, or in fewer recordings.
    """
    prompts = prompts_of(rows)
    plain = {float(row["length"]): counts(row) for row in rows if is_plain(row)}
    found: dict[tuple[str, float, float], dict] = {}
    for row in rows:
        slot, length, n = row["slot"], float(row["length"]), int(row["recordings"])
        ours, one = counts(row), {name: of[:n] for name, of in plain.get(length, {}).items()}
        if not one or not np.array_equal(one["words"], ours["words"]):
            raise UserError(
                f"writing: {length:g} s: {n} recordings of {slot} have no cross-attention at "
                "temperature 1 to be compared with; run the trial again"
            )
        weights = drawn_of(prompts[length][:n], resamples, length)
        for heat, these in ((1.0, one), (float(row["temperature"]), ours)):
            about = {"model": model, "slot": slot, "length": length, "temperature": heat}
            about |= {"recordings": n, "words": int(one["words"].sum())}
            for name in ("wer", *KINDS):
                rate, other = (per_hundred(weights, side, name) for side in (these, one))
                about |= estimate(rate, confidence, name)
                about |= estimate(rate - other, confidence, f"{name}_change")
            found[slot, length, heat] = about
    return [found[key] for key in sorted(found)]  # by slot, length and temperature


def is_plain(row: Mapping[str, str]) -> bool:
    return row["slot"] == "cross" and float(row["temperature"]) == 1


def counts(row: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Words and errors of each recording of a row, (n,)."""
    found = {name: numbers(row, name) for name in ("words", *KINDS)}
    return found | {"wer": sum(found[name] for name in KINDS)}


def per_hundred(weights: np.ndarray, of: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Errors per 100 words in every resample, (R,): a ratio of sums."""
    return 100 * (weights @ of[name]) / (weights @ of["words"])
