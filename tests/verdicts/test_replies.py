"""Answers by kind: who binds, who only hears, and who answers somebody else's question."""

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.verdicts import replies
from focused_attention.verdicts.findings import Options
from focused_attention.verdicts.guessers import guessers
from focused_attention.verdicts.instrument import exchanged
from focused_attention.verdicts.replies import KINDS, Place, Replies, asked, gather, kinds
from focused_attention.verdicts.tables import slopes
from tests.verdicts import planted_replies as planted

N = 3000


@pytest.fixture(scope="module")
def held():
    return planted.recordings(N)


def shares(given, held):
    told = kinds(given, held)
    return {name: float((told == kind).mean()) for kind, name in enumerate(KINDS)}


def test_kinds_of_a_written_digit():
    held = planted.recordings(1)
    value, swapped, lone = held.value[0], held.others[0][0], held.lone[0][0]
    unheard = next(d for d in "0123456789" if d not in value + held.others[0] + held.lone[0])
    given = np.array([[value], [swapped], [lone], [unheard], ["-"]])
    assert kinds(given, held)[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_binding_a_hearing_and_a_shuffled_model_are_told_apart(held):
    assert shares(planted.binding(held), held) == dict.fromkeys(KINDS, 0.0) | {"right": 1.0}
    hears = shares(planted.hearing(held), held)
    assert hears["right"] == pytest.approx(1 / 6, abs=0.02)
    assert hears["swapped"] == pytest.approx(2 / 6, abs=0.02)
    assert hears["unpaired"] == pytest.approx(3 / 6, abs=0.02)
    assert hears["unheard"] == hears["none"] == 0
    moved = shares(planted.shuffled(held), held)
    assert moved["right"] == pytest.approx(1 / 10, abs=0.03)
    assert moved["unheard"] == pytest.approx(4 / 10, abs=0.03)


def test_answers_to_other_questions_are_found_where_they_are(held):
    assert exchanged(planted.shuffled(held), held).mean() == 1
    assert exchanged(planted.hearing(held), held).mean() == pytest.approx(1 / 6, abs=0.02)
    own = exchanged(planted.binding(held), held).mean()
    assert own == pytest.approx((1 / 10) / (6 / 10), abs=0.03)


def test_guessers_are_held_against_what_the_recordings_hold(held):
    found = guessers({("test", "words", 56): held, ("dev", "words", 56): planted.recordings(5)})
    assert found["any digit"] == 0.1
    assert found["any heard digit"] == pytest.approx(1 / 6)
    assert found["any value of a pair"] == pytest.approx(1 / 3)
    for name in ("nearest", "last_pair", "last"):
        given = getattr(held, name)[None]
        named = {"nearest": "nearest digit", "last_pair": "value of the last pair"}
        assert found[named.get(name, "last heard digit")] == shares(given, held)["right"]


def rows(**changes):
    row = {"task": "recall", "filler": "words", "hay": "4", "slot": "cross", "split": "test"}
    row |= {"temperature": "0.71", "utterances": "2", "right": "10", "bound": "11"}
    return [
        row | {"written": "3-", "forced": "35", "nats": "0.1 0.25", "seconds": "13.4"} | changes
    ]


def test_seeds_are_put_together_by_place():
    found = gather([rows(), rows(right="00", written="--")], "results/recall")
    ((place, replies),) = found.items()
    assert place == Place(hay=4, temperature=0.71)
    assert replies.right.tolist() == [[True, False], [False, False]]
    assert replies.bound.all()
    assert replies.nats.tolist() == [[0.1, 0.25]] * 2
    assert replies.of_seeds([1]).written.tolist() == [["-", "-"]]


def test_seeds_that_were_asked_otherwise_are_an_error():
    with pytest.raises(UserError, match="results/recall: the seeds differ"):
        gather([rows(), rows(hay="20")], "results/recall")


def test_what_was_asked_is_read_by_place():
    row = {"split": "test", "filler": "silence", "hay": "4", "value": "31", "others": "12 -"}
    row |= {"lone": "- 567", "nearest": "31", "last_pair": "22", "last": "27", "seconds": "13.4"}
    held = asked([row])["test", "silence", 4]
    assert held.paired.tolist() == [3, 1]
    assert held.alone.tolist() == [0, 3]


def test_sizes_that_are_pruned_but_not_recalled_are_an_error(held):
    with pytest.raises(UserError, match=r"10 words .* measure\.recall\.words"):
        replies.held({("test", "words", 4): held}, Place(hay=10))


def test_a_planted_slope_of_the_best_temperature_is_recovered():
    """Losses whose minimum falls by a tenth of an octave an octave of length."""
    heats, rng = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0), np.random.default_rng(4)
    cells = {}
    for hay, seconds in ((4, 15.0), (20, 30.0), (56, 60.0)):
        best = -0.1 * np.log2(seconds / 15)
        luck = 0.1 * rng.random((5, 64))
        for heat in heats:
            nats = (np.log2(heat) - best) ** 2 + luck
            empty = np.zeros((5, 64), bool)
            cells[Place(hay=hay, temperature=heat)] = Replies(
                empty, empty, nats, empty, empty, seconds
            )
    found = slopes("echo", cells, Options(200, 0.95), margin=0.02)
    bests = [row for row in found if row["quantity"] == "best"]
    assert [row["octaves"] for row in bests[:3]] == pytest.approx([0, -0.1, -0.2], abs=1e-6)
    assert bests[3]["hay"] == ""
    assert bests[3]["octaves"] == pytest.approx(-0.1, abs=1e-6)
    assert [row["edge"] for row in bests] == [0, 0, 0, 0]
    assert bests[3]["low"] - 1e-9 <= bests[3]["octaves"] <= bests[3]["high"] + 1e-9
    others = [row for row in found if row["quantity"] != "best" and row["hay"] != ""]
    assert [row["edge"] for row in others] == [1] * 9  # forced choice never fell
    assert [row["cut"] for row in others] == [1] * 9


def test_planted_temperatures_that_forced_choice_bears_are_recovered():
    """Right answers are lost in proportion to octaves beyond one that falls with length."""
    heats, n = (0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0), 1000
    cells, soft = {}, {4: 1.0, 20: 0.75, 56: 0.5}  # octaves up to which nothing is lost
    for place, (hay, octaves) in enumerate(soft.items()):
        for heat in reversed(heats):
            lost = 0.2 * max(0.0, np.log2(heat) - octaves)
            bound = np.tile(np.arange(n) >= lost * n, (3, 1))
            nats = np.full((3, n), np.log2(heat) ** 2)
            cells[Place(hay=hay, temperature=heat)] = Replies(
                bound, bound, nats, bound, bound, 15.0 * 2**place
            )
    found = {
        (row["quantity"], row["hay"]): row
        for row in slopes("echo", cells, Options(200, 0.95), margin=0.02)
    }
    for hay, octaves in soft.items():
        row = found["softest", hay]
        assert row["octaves"] == pytest.approx(octaves + 0.1, abs=0.2)  # by lines between heats
        assert row["low"] <= row["octaves"] <= row["high"]
        assert (row["edge"], found["sharpest", hay]["edge"]) == (0, 1)
        assert found["sharpest", hay]["octaves"] == -2
    assert found["softest", ""]["octaves"] == pytest.approx(-0.25, abs=0.1)
    assert found["sharpest", ""]["edge"] == 3


def test_equal_odds_lost_are_borne_alike_though_equal_points_are_not():
    """Heat takes the same from the log-odds at every length, from 99 % as from 70 %."""
    heats, n = (0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0), 4000
    cells = {}
    for place, share in enumerate((0.99, 0.9, 0.7)):
        for heat in heats:
            odds = share / (1 - share) * np.exp(-0.5 * max(0.0, np.log2(heat)))
            bound = np.tile(np.arange(n) < n * odds / (1 + odds), (3, 1))
            nats = np.full((3, n), (np.log2(heat) - 1.2) ** 2)
            cells[Place(hay=place, temperature=heat)] = Replies(
                bound, bound, nats, bound, bound, 15.0 * 2**place
            )
    rows = slopes("echo", cells, Options(100, 0.95), margin=0.02)
    found = {(row["quantity"], row["hay"]): row for row in rows}
    assert found["softest", ""]["octaves"] < -0.5
    assert found["softest_odds", ""]["octaves"] == pytest.approx(0, abs=0.05)
    assert found["softest_odds", 0]["octaves"] == pytest.approx(1, abs=0.05)
    assert found["best", 2]["octaves"] == pytest.approx(1.2)  # beyond 1.41


def test_how_often_resamples_are_cut_short_is_told_where_the_best_itself_is_not():
    """Recordings want temperatures so far apart that their mean is hardly known."""
    heats, rng = (0.25, 0.5, 1.0, 2.0, 4.0), np.random.default_rng(0)
    wants = rng.normal(size=(3, 40))
    wants = 1.2 + 8 * (wants - wants.mean())
    cells = {
        Place(hay=hay, temperature=heat): Replies(
            *[np.ones((3, 40), bool)] * 2, (np.log2(heat) - wants) ** 2,
            *[np.ones((3, 40), bool)] * 2, seconds,
        )
        for hay, seconds in ((4, 15.0), (56, 60.0))
        for heat in heats
    }  # fmt: skip
    rows = slopes("echo", cells, Options(500, 0.95), margin=0.02)
    found = {(row["quantity"], row["hay"]): row for row in rows}
    assert found["best", 4]["edge"] == 0
    assert 0.05 < found["best", 4]["cut"] < 0.6
    assert found["best", ""]["cut"] == found["best", 4]["cut"]  # both lengths are alike
