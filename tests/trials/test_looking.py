"""Where attention looks: against loops over single rows, planted heads, and what cannot be."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy as shannon

from focused_attention.errors import UserError
from focused_attention.stages import listen
from focused_attention.tasks.joined import Joined, deal
from focused_attention.trials import SEED, features, given
from focused_attention.trials.looking import (
    MEASURES,
    Looking,
    Settings,
    at_positions,
    at_tokens,
    looked,
    owners,
    places,
    so_far,
)

SETTINGS = {"recordings": 2, "temperatures": [0.5, 1.0, 2.0], "every": 8}
# prompts from 0 to 1 s and from 1.3 to 2 s of 2.2 s, then silence
JOINED = Joined(
    id="a", seconds=2.2, prompts=("p0", "p1"), starts=(0, 20800), ends=(16000, 32000), text="a b"
)


@pytest.fixture
def trial(subject):
    return Looking(subject, Settings(**SETTINGS))


def values(row, name):
    return np.array([float(value) for value in row[name].split()])


def test_places_of_a_recording():
    place = places(JOINED, 150)
    expected = [0] * 50 + [-1] * 15 + [1] * 35 + [-2] * 50
    assert place.tolist() == expected
    seen = at_tokens(place, JOINED, torch.tensor([1]))
    assert seen["own"][0].nonzero().ravel().tolist() == list(range(65, 100))
    assert seen["near"][0].nonzero().ravel().tolist() == list(range(55, 110))
    own = at_positions(place, torch.tensor([70]))
    assert own["near"][0].nonzero().ravel().tolist() == list(range(60, 81))
    assert torch.equal(own["own"], seen["own"])


def test_planted_heads_are_found():
    """One that looks at position 70 alone, and one that looks everywhere alike."""
    place = places(JOINED, 150)
    weights = torch.zeros(1, 2, 3, 150)
    weights[0, 0, :, 70], weights[0, 1] = 1.0, 1 / 150
    found = looked(weights, None, at_tokens(place, JOINED, torch.tensor([1, 1, 1])))
    assert set(found) == set(MEASURES)
    one_hot = {name: of[0, 0].item() for name, of in found.items()}
    zero = dict.fromkeys(("entropy", "share", "first", "last", "between", "after"), 0.0)
    assert one_hot == pytest.approx(zero | {"support": 1.0, "own": 1.0, "near": 1.0})
    uniform = {name: of[0, 1].item() for name, of in found.items()}
    assert uniform == pytest.approx({
        "entropy": math.log(150), "share": 1.0, "support": 150.0, "first": 1 / 150,
        "last": 1 / 150, "between": 15 / 150, "after": 50 / 150, "own": 35 / 150, "near": 55 / 150,
    })  # fmt: skip


def test_rows_are_those_of_a_loop(trial, subject, pool):
    """Cross-attention of one recording, a row, a head and a position at a time."""
    cell = next(iter(trial.cells()))
    joined = deal(pool, 5.0, 1, SEED)[0]
    model = subject.listener.model
    prefix, text = given(subject.listener, joined.text)
    with torch.no_grad():
        found = trial.looks(cell, joined)["cross", 1.0]
        audio = model.encoder(features(pool, joined, cell.silence)).audio
        given_tokens = torch.tensor([[*prefix, *text[:-1]]])
        weights = model.decoder(given_tokens, audio, need_weights=True).weights
    spoken = [i for i, name in enumerate(joined.prompts) for _ in f" {pool[name].text}"]
    nats, own = np.zeros((2, 2)), np.zeros((2, 2))
    for layer, head in np.ndindex(2, 2):
        rows = weights[layer][0, head, 1 : 1 + len(spoken)].double().numpy()
        nats[layer, head] = np.mean([shannon(row) for row in rows])
        for row, i in zip(rows, spoken, strict=True):
            middles = 320 * np.arange(1500) + 160
            inside = (middles >= joined.starts[i]) & (middles < joined.ends[i])
            own[layer, head] += row[inside].sum() / len(rows)
    np.testing.assert_allclose(found["entropy"], nats, atol=1e-5)
    np.testing.assert_allclose(found["own"], own, atol=1e-5)


def test_the_decoder_sees_what_is_behind_it():
    weights = torch.eye(5)[None, None, 2:5]  # of the token itself alone
    found = looked(weights, *so_far(slice(2, 5), 5))
    assert found["last"].item() == 1
    assert found["first"].item() == found["entropy"].item() == 0
    even = looked(torch.ones(1, 1, 3, 5), *so_far(slice(2, 5), 5))
    assert even["share"].item() == pytest.approx(1)
    assert even["first"].item() == pytest.approx((1 / 3 + 1 / 4 + 1 / 5) / 3)


def test_every_cell_has_its_rows(trial, subject, pool):
    cells = list(trial.cells())
    assert [(c.condition, c.length, c.silence) for c in cells] == [
        ("padded", 5.0, 25.0), ("padded", 10.0, 20.0), ("unpadded", 5.0, 1.0),
        ("unpadded", 10.0, 1.0), ("keys", 5.0, 0.5), ("keys", 5.0, 24.5),
    ]  # fmt: skip
    rows = [row for cell in cells for row in trial.rows(cell)]
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    assert len(rows) == len(cells) * (5 + 1 + 2 * 4 + 2)  # slots, at temperatures, and heads
    assert sum(bool(row["prompts"]) for row in rows) == len(cells)
    for row in rows:
        if row["layer"] != "all":
            continue
        share, nats = values(row, "share"), values(row, "entropy")
        assert len(share) == 2
        assert np.all((nats >= 0) & (share <= 1.0001))
        if row["slot"] in ("cross", "uniform") and row["temperature"] == 1:
            chance = row["slot"] == "uniform"
            assert np.allclose(share, 1, atol=1e-3) == chance
            assert np.allclose(nats, np.log(row["keys"]), atol=1e-3) == chance
        if row["slot"] == "cross":
            assert bool(row["own"]) == (row["temperature"] == 1)
    (padded,) = (c for c in cells if (c.condition, c.length) == ("padded", 10.0))
    cell = listen.Cell("padded", 10.0, 20.0, None, padded.temperatures, 2)
    theirs = listen.measured(subject.listener, "cross", pool, cell)
    ours = [r for r in rows if (r["condition"], r["length"], r["slot"], r["layer"])
            == ("padded", 10.0, "cross", "all")]  # fmt: skip
    for row, other in zip(ours, theirs, strict=True):
        assert values(row, "losses") == pytest.approx(values(other, "losses"), abs=1e-3)


def test_heads_average_to_their_slot(trial):
    rows = trial.rows(next(iter(trial.cells())))
    for slot in ("cross", "encoder", "decoder"):
        heads = [r for r in rows if r["slot"] == slot and r["head"] != "all"]
        (whole,) = (r for r in rows if (r["slot"], r["temperature"], r["head"]) == (slot, 1, "all"))
        for name in ("entropy", "first"):
            mean = np.mean([float(r[name]) for r in heads])
            assert mean == pytest.approx(values(whole, name).mean(), rel=0.01)


def test_softer_is_more_entropy(trial):
    rows = trial.rows(next(iter(trial.cells())))
    cross = {r["temperature"]: values(r, "entropy").mean() for r in rows
             if (r["slot"], r["head"]) == ("cross", "all")}  # fmt: skip
    assert cross[0.5] < cross[1.0] < cross[2.0]


def test_prompts_whose_tokens_merge_are_refused():
    class Merging:
        def encode(self, text):
            return [len(text)]

    with pytest.raises(ValueError, match="others by themselves than together"):
        owners(Merging(), ["a", "b"], [4])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"every": 0}, "every: expected 1 or more, given 0"),
     ({"temperatures": [0.5]}, "temperatures: expected 1 among them")],
    ids=["no row", "without 1"],
)  # fmt: skip
def test_settings_that_cannot_be(subject, change, message):
    with pytest.raises(UserError, match=message) as error:
        Looking(subject, Settings(**SETTINGS | change))
    assert "\n" not in str(error.value)
