"""Hidden keys: a cut encoding is a masked one, all of it is stage listen's, and more is refused."""

import pytest
import torch
import torch.nn.functional as F

from focused_attention.errors import UserError
from focused_attention.stages import listen
from focused_attention.tasks.joined import deal
from focused_attention.trials import SEED, features, given
from focused_attention.trials.hidden_keys import Cell, HiddenKeys, Settings

HEATS = [0.5, 1.0, 2.0]
SETTINGS = {"length": 5.0, "silences": [0.5, 25.0], "temperatures": HEATS, "recordings": 3}


def losses(row):
    return [float(value) for value in row["losses"].split()]


def test_a_row_for_every_number_of_keys_and_temperature(subject):
    trial = HiddenKeys(subject, Settings(**SETTINGS))
    rows = [row for cell in trial.cells() for row in trial.rows(cell)]
    assert [(row["keys"], row["temperature"]) for row in rows] == [
        (keys, value) for keys in (275, 1500) for value in HEATS
    ]
    assert all(len(losses(row)) == 3 for row in rows)
    assert len({row["losses"] for row in rows}) == len(rows)
    said = [row["prompts"].split() for row in rows]
    assert [len(prompts) for prompts in said] == [3, 0, 0] * 2  # once a cell
    dealt = deal(trial.pool, 5.0, 3, SEED)
    assert said[0] == [",".join(joined.prompts) for joined in dealt]


def test_all_keys_are_those_of_stage_listen(subject, pool):
    trial = HiddenKeys(subject, Settings(**SETTINGS))
    ours = trial.rows(Cell(5.0, 25.0, tuple(HEATS), 3))
    cell = listen.Cell("padded", 5.0, 25.0, None, tuple(HEATS), 3)
    theirs = listen.measured(subject.listener, "cross", pool, cell)
    assert [row["losses"] for row in ours] == [row["losses"] for row in theirs]


def test_what_is_cut_off_is_what_a_mask_hides(subject, pool):
    trial = HiddenKeys(subject, Settings(**SETTINGS))
    model = subject.listener.model
    (row,) = trial.rows(Cell(5.0, 0.5, (1.0,), 1))
    (joined,) = deal(pool, 5.0, 1, SEED)
    prefix, text = given(subject.listener, joined.text)
    with torch.no_grad():
        audio = model.encoder(features(pool, joined, 25.0)).audio
        shown = (torch.arange(1500) < 275)[None]
        logits = model.decoder(torch.tensor([[*prefix, *text[:-1]]]), audio, shown).logits[0]
    expected = F.cross_entropy(logits[len(prefix) - 1 :], torch.tensor(text))
    assert losses(row) == [pytest.approx(expected.item(), abs=6e-5)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"silences": [26.0]}, r"silences: expected 0 to 25 seconds after 5, given 26"),
        ({"silences": [-1.0]}, r"silences: expected 0 to 25 seconds after 5, given -1"),
        ({"temperatures": [0.5, 2.0]}, r"temperatures: expected 1 among them"),
    ],
    ids=["too long", "negative", "without 1"],
)
def test_settings_that_cannot_be(subject, change, message):
    with pytest.raises(UserError, match=message) as error:
        HiddenKeys(subject, Settings(**SETTINGS | change))
    assert "\n" not in str(error.value)
