"""Word errors: ratios of sums, differences in the same recordings, and no effect where none is."""

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.verdicts.writing import table

OPTIONS = {"resamples": 400, "confidence": 0.95}


def row_of(slot, temperature, counts, length=5.0):
    """A row of the trial from counts (recordings, 4): words and the three kinds."""
    counts = np.asarray(counts)
    names = ("words", "substitutions", "deletions", "insertions")
    each = {name: " ".join(map(str, of)) for name, of in zip(names, counts.T, strict=True)}
    about = {"slot": slot, "length": str(length), "temperature": str(temperature)}
    prompts = " ".join(f"a{i},b{i % 4}" for i in range(len(counts)))
    return about | {"recordings": str(len(counts))} | each | {"tokens": "", "prompts": prompts}


def made_up(n, wrong, seed=0):
    """Recordings of 20 words of which a share is substituted, and none deleted or inserted."""
    errors = np.random.default_rng(seed).binomial(20, wrong, n)
    return np.stack([np.full(n, 20), errors, 0 * errors, 0 * errors], axis=1)


def test_rates_are_ratios_of_sums():
    counts = [[10, 1, 2, 0], [30, 0, 1, 8]] * 6
    (found,) = table("tiny.en", [row_of("cross", 1.0, counts)], **OPTIONS)
    assert found["words"] == 240
    rates = [found[name] for name in ("substitutions", "deletions", "insertions", "wer")]
    assert rates == pytest.approx([2.5, 7.5, 20, 30])
    assert found["wer_change"] == found["wer_change_low"] == found["wer_change_high"] == 0


def test_differences_are_to_the_first_recordings_of_the_untouched_model():
    plain = made_up(40, 0.1)
    fewer = plain[:20].copy()
    fewer[:, 2] += 2  # two words in twenty are left out besides
    rows = [row_of("encoder", 2.0, fewer), row_of("cross", 1.0, plain)]
    _, one, found = table("tiny.en", rows, **OPTIONS)
    for row, heat in ((one, 1.0), (found, 2.0)):
        about = row["slot"], row["temperature"], row["recordings"]
        assert about == ("encoder", heat, 20)
    assert one["wer"] == pytest.approx(100 * plain[:20, 1].sum() / 400)
    for name, change in (("wer", 10), ("deletions", 10), ("substitutions", 0)):
        for end in ("", "_low", "_high"):
            assert found[f"{name}_change{end}"] == pytest.approx(change)


def test_a_planted_effect_is_found_and_a_guesser_gets_none():
    rows = [row_of("cross", 1.0, made_up(60, 0.1)), row_of("cross", 2.0, made_up(60, 0.3, 1)),
            row_of("cross", 0.5, made_up(60, 0.1, 2))]  # fmt: skip
    alike, _, soft = table("tiny.en", rows, **OPTIONS)
    assert soft["wer_change_low"] > 10
    assert alike["wer_change_low"] < 0 < alike["wer_change_high"]


@pytest.mark.parametrize(
    "rows",
    [[row_of("encoder", 2.0, made_up(4, 0.1))],
     [row_of("cross", 1.0, made_up(4, 0.1)), row_of("cross", 2.0, made_up(4, 0.1), 10.0)],
     [row_of("cross", 1.0, made_up(4, 0.1)), row_of("encoder", 2.0, made_up(6, 0.1))]],
    ids=["no untouched one", "of another length", "of fewer recordings"],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(rows):
    with pytest.raises(UserError, match="temperature 1") as error:
        table("tiny.en", rows, **OPTIONS)
    assert "\n" not in str(error.value)
