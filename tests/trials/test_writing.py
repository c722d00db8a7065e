"""Word errors: as jiwer counts them; temperature 1 is the untouched model in any slot."""

import jiwer
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from focused_attention.trials import without_times
from focused_attention.trials.writing import Cell, Settings, Writing, errors, heated

HEATS = {"cross": [0.5, 1.0], "decoder": [2.0]}
SETTINGS = Settings(
    lengths=[5.0], temperatures=HEATS, recordings={"cross": 3, "decoder": 2, "encoder": 2}
)
SENTENCES = st.lists(st.sampled_from("abcd"), max_size=8)


@given(reference=SENTENCES, said=SENTENCES)
def test_errors_are_as_many_as_jiwer_finds(reference, said):
    assume(reference)
    found = errors(" ".join(reference), " ".join(said))
    kinds = found["substitutions"], found["deletions"], found["insertions"]
    theirs = jiwer.process_words(" ".join(reference), " ".join(said))
    assert found["words"] == len(reference)
    assert sum(kinds) == theirs.substitutions + theirs.deletions + theirs.insertions
    assert kinds[1] - kinds[2] == len(reference) - len(said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("press a key", (1, 1, 0)), ("", (0, 4, 0)), ("press the the pound key", (0, 0, 1))],
    ids=["changed", "silent", "said twice"],
)
def test_errors_of_each_kind(said, expected):
    found = errors("press the pound key", said)
    assert (found["substitutions"], found["deletions"], found["insertions"]) == expected


@pytest.mark.parametrize("slot", ["cross", "encoder", "decoder"])
def test_heat(subject, slot):
    """At 1 the untouched model to the bit; at 2 another, which is mended afterwards."""
    model = subject.listener.model
    torch.manual_seed(1)
    mel, tokens = torch.randn(1, 80, 200), torch.tensor([[2, 1, 5]])
    with torch.no_grad():
        before = model(mel, tokens).logits
        with heated(model, Cell(slot, 5.0, 1.0, 1)) as same:
            assert torch.equal(same(mel, tokens).logits, before)
        with heated(model, Cell(slot, 5.0, 2.0, 1)) as soft:
            assert not torch.allclose(soft(mel, tokens).logits, before, atol=1e-4)
        assert torch.equal(model(mel, tokens).logits, before)


def test_the_untouched_model_writes_the_same_in_any_slot(subject):
    trial = Writing(subject, SETTINGS)
    first, *others = (trial.rows(Cell(slot, 5.0, 1.0, 2))[0] for slot in
                      ("cross", "encoder", "decoder"))  # fmt: skip
    for other in others:
        assert other | {"slot": "cross"} == first


def test_every_cell_and_recording_has_its_numbers(subject):
    trial = Writing(subject, SETTINGS)
    rows = [row for cell in trial.cells() for row in trial.rows(cell)]
    assert [(r["slot"], r["temperature"], r["recordings"]) for r in rows] == [
        ("cross", 0.5, 3), ("cross", 1.0, 3), ("decoder", 2.0, 2)
    ]  # fmt: skip
    for row in rows:
        for name in ("words", "substitutions", "deletions", "insertions", "tokens", "prompts"):
            assert len(row[name].split()) == row["recordings"]
        each = zip(row["words"].split(), row["prompts"].split(), strict=True)
        for words, prompts in each:
            assert int(words) == 3 * len(prompts.split(","))  # "what 0 says"
    assert subject.listener.writing.timestamps
    assert not without_times(subject.listener).timestamps
