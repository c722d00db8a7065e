"""Guesses, guessers, seeds and the parts of F1: each is told apart from what looks alike."""

import dataclasses
import math

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.verdicts import findings
from focused_attention.verdicts.findings import Cell
from focused_attention.verdicts.first.by_seed import by_seed
from focused_attention.verdicts.first.chance import chance, guessers
from focused_attention.verdicts.first.guesses import by_place, guesses
from focused_attention.verdicts.first.spotting import spotting
from focused_attention.verdicts.first.trial import COLUMNS
from tests.verdicts.planted import ASKED, OPTIONS, rates


def answered(runs_of_bits):
    """Rows of guess/ from right and digit bits by temperature, a seed after the other."""
    return [
        [
            {"needles": "3", "hay": "60", "temperature": str(t)}
            | {
                name: "".join(map(str, bits.astype(int)))
                for name, bits in (("right", right), ("digit", digit))
            }
            for t, (right, digit) in run.items()
        ]
        for run in runs_of_bits
    ]


@pytest.mark.parametrize(
    ("luck", "measure"), [(0.1, "beyond_any_digit"), (0.4, "beyond_heard_digit")]
)
def test_who_guesses_knows_nothing_by_the_guesser_he_is(luck, measure):
    """Recall that comes with more digits alone is luck, and the right correction takes it away."""
    rng = np.random.default_rng(0)
    n, planted = 4000, []
    for _ in range(3):
        lucky, knows = rng.random(n) < luck, rng.random(n) < 0.4
        every = np.ones(n, bool)  # at 1, who does not know keeps silent
        planted.append({1.0: (knows, knows), 0.71: (knows | lucky, every)})
    table = guesses("echo", answered(planted), OPTIONS)
    assert all(tuple(row) == COLUMNS["guesses"] for row in table)
    at = {row["measure"]: row for row in table if row["temperature"] == 0.71}
    assert at["digits"]["rate"] == 1
    assert at["right"]["difference"] == pytest.approx(0.6 * luck, abs=0.02)
    assert at[measure]["difference"] == pytest.approx(0, abs=0.02)
    assert at[measure]["rate"] == pytest.approx(0.4, abs=0.02)
    assert at["right_given_digit"]["rate"] == at["right"]["rate"]


def test_answering_more_is_not_binding_better():
    """More digits of the same worth: recall rises, and what a digit is worth does not."""
    rng = np.random.default_rng(1)
    n, planted = 4000, []
    for _ in range(3):
        right, often, seldom = (rng.random(n) < share for share in (0.6, 0.95, 0.8))
        planted.append({1.0: (right & seldom, seldom), 0.71: (right & often, often)})
    table = guesses("echo", answered(planted), OPTIONS)
    at = {row["measure"]: row for row in table if row["temperature"] == 0.71}
    assert at["right"]["difference_low"] > 0
    assert at["right_given_digit"]["difference"] == pytest.approx(0, abs=0.02)
    assert at["beyond_heard_digit"]["difference"] > 0  # no correction for willingness to answer


def test_guesses_need_temperature_one():
    right = np.ones(8, bool)
    with pytest.raises(UserError, match=r"1\.0 must be among them"):
        guesses("echo", answered([{0.71: (right, right)}]), OPTIONS)


def test_chance_is_that_of_the_tasks_own_numbers():
    found = chance(3, 3, [])
    numbers = {"any_digit": 0.1, "heard_digit": 0.4, "pairs": 3, "values": 10}
    assert found.items() >= numbers.items()
    rng = np.random.default_rng(0)
    values = rng.integers(10, size=(100_000, 3))  # of three pairs; the first is asked
    named = values[np.arange(len(values)), rng.integers(3, size=len(values))]
    assert (named == values[:, 0]).mean() == pytest.approx(found["heard_digit"], abs=0.01)
    assert (rng.integers(10, size=len(values)) == values[:, 0]).mean() == pytest.approx(
        found["any_digit"], abs=0.01
    )
    distinct = np.mean([len(set(row)) for row in values])  # of three said, who writes all ten
    assert 2 * distinct / (3 + 10) == pytest.approx(found["every_digit_f1"], abs=0.01)


def test_guessers_that_hear_are_counted_on_the_recordings():
    found = {row["guesser"]: row["rate"] for row in guessers(ASKED)}
    assert found == {
        "any heard digit": pytest.approx((2 / 3 + 1 / 3 + 1 / 3 + 1) / 4),
        "most frequent heard digit": pytest.approx((1 + 1 / 3 + 0 + 1) / 4),
        "first heard digit": pytest.approx((1 + 0 + 0 + 1) / 4),
        "last heard digit": pytest.approx((0 + 1 + 0 + 1) / 4),
    }
    assert chance(3, 3, guessers(ASKED))["best_hearing"]["rate"] == max(found.values())


def test_who_names_the_last_digit_is_right_at_the_last_place_alone():
    n = 90
    places = [str(i % 3 + 1) for i in range(n)]
    asked = [
        {"pairs": "3", "hay": "60", "heard": "123", "place": place, "value": place}
        for place in places
    ]
    right = np.array([place == "3" for place in places])
    runs = answered([{t: (right, np.ones(n, bool)) for t in (1.0, 0.71)}] * 3)
    table = by_place("echo", runs, asked, OPTIONS)
    assert all(tuple(row) == COLUMNS["places"] for row in table)
    assert [row["rate"] for row in table] == [0, 0, 1]


def test_new_digits_that_are_guesses_are_told_from_old_ones():
    """What was answered stays as right as it was; what is new is right by luck."""
    rng = np.random.default_rng(2)
    n, planted = 4000, []
    for _ in range(3):
        first, right, lucky = (rng.random(n) < share for share in (0.7, 0.8, 0.4))
        sharp = np.where(first, right, lucky), np.ones(n, bool)
        planted.append({1.0: (first & right, first), 0.71: sharp})
    table = guesses("echo", answered(planted), OPTIONS)
    at = {row["measure"]: row for row in table if row["temperature"] == 0.71}
    assert at["right_where_both"]["difference"] == 0
    assert at["right_where_both"]["rate"] == pytest.approx(0.8, abs=0.02)
    assert at["right_where_new"]["rate"] == pytest.approx(0.4, abs=0.02)
    assert at["right_given_digit"]["difference"] < -0.05  # of other recordings as well


def test_more_written_raises_f1_and_lowers_precision():
    """Three asked: at 1 two are written and right, when sharp four are, three of them right."""
    asked = "3" * 100
    runs = [
        [
            {"split": "test", "answers": "own", "task": "spot", "needles": "3", "hay": "9"}
            | {"seconds": "33.0", "slot": "cross", "temperature": str(t), "asked": asked}
            | {"written": written * 100, "right": right * 100}
            for t, written, right in ((0.71, "4", "3"), (1.0, "2", "2"), (4.0, "0", "0"))
        ]
        for _ in range(3)
    ]
    table = spotting("echo", runs, OPTIONS)
    assert all(tuple(row) == COLUMNS["spotting"] for row in table)
    rates = {(row["measure"], row["temperature"]): row for row in table}
    sharp = {name: rates[name, 0.71]["difference"] for name in ("precision", "recall", "f1")}
    assert sharp == {
        "precision": pytest.approx(-0.25), "recall": pytest.approx(1 / 3),
        "f1": pytest.approx(6 / 7 - 4 / 5),
    }  # fmt: skip
    assert rates["written", 0.71]["rate"] == pytest.approx(4 / 3)
    assert math.isnan(rates["precision", 4.0]["rate"])  # nothing is written there


def test_every_seed_has_its_own_difference_and_all_have_their_average(evidence):
    found = evidence(arms=("echo",), recall=rates(0.6, t071=0.7), pruned=rates(0.5, t071=0.7))
    weak = dict(found.learning[1], recall_first_word=0.5, trained=False)
    found = dataclasses.replace(found, learning=[found.learning[0], weak, found.learning[2]])
    table = by_seed("echo", found)
    assert all(tuple(row) == COLUMNS["by-seed"] for row in table)
    assert {row["temperature"] for row in table} == {0.71, 1.0}

    def at(seed, top_k="", temperature=0.71, task="recall", hay=40):
        wanted = {"seed": seed, "top_k": top_k, "temperature": temperature, "task": task}
        (row,) = (r for r in table if r["hay"] == hay and wanted.items() <= r.items())
        return row

    place = Cell("recall", 4, 40, "cross", 0.71)
    right = (
        found.swept["echo"][place].above
        - found.swept["echo"][place._replace(temperature=1.0)].above
    )
    for i, seed in enumerate((1, 2, 3)):
        assert at(seed)["difference"] == pytest.approx(right[i].mean())
        assert at(seed)["seeds"] == 1
        assert at(seed)["difference_low"] < at(seed)["difference"] < at(seed)["difference_high"]
        assert at(seed, top_k=8)["difference"] == pytest.approx(0.2, abs=0.08)
        assert at(seed, temperature=1.0)["difference"] == 0
    assert at("all")["difference"] == pytest.approx(right.mean())
    assert at("trained")["difference"] == pytest.approx(right[[0, 2]].mean())
    assert (at("all")["seeds"], at("trained")["seeds"]) == (3, 2)
    (same,) = (
        r for r in findings.accuracy("echo", found.swept["echo"], OPTIONS)
        if (r["task"], r["hay"], r["slot"], r["temperature"]) == ("recall", 40, "cross", 0.71)
    )  # fmt: skip
    assert {name: at("all")[name] for name in findings.RATE} == {
        name: same[name] for name in findings.RATE
    }
