"""Tables from planted answers: what is planted is found, and nothing else."""

import math

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.metrics.learned import temperatures
from focused_attention.verdicts import findings, heads
from focused_attention.verdicts.findings import Answers, Cell, Options
from tests.verdicts.planted import (
    OPTIONS,
    TEMPERATURES,
    arm_cells,
    dev_rows,
    entropy_rows,
    line,
    rates,
)  # fmt: skip


def test_accuracy_has_the_planted_rates_and_differences():
    cells = arm_cells(recall=rates(0.7, t071=0.8))
    table = findings.accuracy("echo", cells, OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["accuracy"] for row in table)
    assert len(table) == 2 * 2 * 3 * len(TEMPERATURES)
    assert all(row["low"] <= row["rate"] <= row["high"] for row in table)
    (sharp,) = (
        row for row in table
        if (row["task"], row["hay"]) == ("recall", 40)
        and (row["slot"], row["temperature"]) == ("cross", 0.71)
    )  # fmt: skip
    assert sharp["difference"] == pytest.approx(0.1, abs=0.03)
    assert 0.05 < sharp["difference_low"] < sharp["difference_high"] < 0.16
    assert all(row["difference_high"] == 0 for row in table if row["temperature"] == 1)


def test_f1_is_a_ratio_of_sums():
    above, below = np.array([[2, 6, 0]]), np.array([[5, 6, 3]])
    cells = {Cell("spot", 3, 0, "cross", 1.0): Answers(above, below, 1.0)}
    (row,) = findings.accuracy("echo", cells, OPTIONS)
    assert row["rate"] == pytest.approx(8 / 14)


def test_a_model_whose_temperature_is_wrong_is_found():
    wrong = rates(0.8, t100=0.6)  # sharper and softer than its own are both better
    table = findings.optimum("echo", arm_cells(recall=wrong), OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["optimum"] for row in table)
    (found,) = (r for r in table if (r["task"], r["hay"], r["slot"]) == ("recall", 40, "cross"))
    assert found["temperature"] == 0.71  # 0.5 is as good, and further from 1
    assert 0.1 < found["gain_low"] < found["gain"] < found["gain_high"] < 0.3
    others = [row for row in table if row is not found]
    assert all(row["temperature"] == 1 == row["high"] for row in others)
    assert all(row["gain"] == 0 for row in others)


def test_choosing_among_equals_gains_nothing():
    rng = np.random.default_rng(5)
    gains, naive = [], []
    for _ in range(40):
        place = Cell("recall", 4, 40, "cross", 1.0)
        cells = {
            place._replace(temperature=t): Answers(
                (rng.random((3, 64)) < 0.5).astype(np.uint8), np.ones((3, 64)), 1.0
            )
            for t in TEMPERATURES
        }
        (row,) = findings.optimum("echo", cells, Options(20, 0.95))
        gains.append(row["gain"])
        naive.append(row["rate"] - cells[place].above.mean())
    assert abs(np.mean(gains)) < 3 * np.std(gains) / math.sqrt(len(gains))
    assert np.mean(naive) > 0.03


def test_pruning_is_compared_at_the_same_sparsity():
    place = Cell("recall", 4, 40, "cross", 1.0)
    cells = line(place, rates(0.8)) | line(place._replace(top_k=8), rates(0.5, t071=0.7))
    cells |= line(place._replace(int8=True), rates(0.7))
    table = findings.pruning("echo", cells, OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["pruning"] for row in table)
    sharp = {(r["top_k"], r["int8"]): r for r in table if r["temperature"] == 0.71}
    assert sharp.keys() == {("", False), (8, False), ("", True)}
    assert sharp[8, False]["difference"] == pytest.approx(0.2, abs=0.05)
    assert sharp["", False]["difference"] == sharp["", True]["difference"] == 0


def test_transition_is_the_first_measurement_with_half_of_the_values():
    row = findings.learning("echo", 1, 1500, dev_rows(0.92))
    assert tuple(row) == findings.COLUMNS["learning"]
    assert (row["transition_step"], row["recall_first_word"], row["trained"]) == (500, 0.92, True)
    row = findings.learning("echo", 1, 1500, dev_rows(0.3))
    assert (row["transition_step"], row["trained"]) == ("", False)


def test_entropy_counts_heads_and_its_interval_is_the_normal_one():
    runs = [entropy_rows(0.97)] * 3  # seeds alike: utterances are all that is left to chance
    table = heads.entropy_length("echo", runs, 64, Options(4000, 0.95))
    assert all(tuple(row) == findings.COLUMNS["entropy-length"] for row in table)
    (row,) = (r for r in table if (r["metric"], r["hay"]) == ("normalised_entropy", 40))
    assert (row["collapsed_heads"], row["one_hot_heads"], row["heads"]) == (24, 0, 24)
    assert row["mean"] == pytest.approx(0.97)
    half = 1.96 * 0.05 / math.sqrt(64)
    assert row["high"] - row["low"] == pytest.approx(2 * half, rel=0.05)
    spread = heads.entropy_length("echo", [entropy_rows(0.9 + d) for d in (0, 0.05)], 64, OPTIONS)
    (wider,) = (r for r in spread if (r["metric"], r["hay"]) == ("normalised_entropy", 40))
    assert wider["high"] - wider["low"] > row["high"] - row["low"]


def test_learned_temperatures_are_read_from_the_weights_names():
    table = temperatures("echo", 2, {
        "decoder.blocks.1.cross_attn.focus.level": np.log([0.5, 2.0]),
        "decoder.blocks.1.cross_attn.focus.slope": np.array([0.0, 0.3]),
        "encoder.blocks.0.attn.focus.level": np.zeros(1),
        "encoder.blocks.0.attn.query.weight": np.zeros((2, 2)),
    })  # fmt: skip
    assert all(tuple(row) == findings.COLUMNS["temperatures"] for row in table)
    assert [tuple(row.values())[2:] for row in table] == [
        ("cross", 1, 0, pytest.approx(0.5), 0.0),
        ("cross", 1, 1, pytest.approx(2.0), 0.3),
        ("encoder", 0, 0, 1.0, 0.0),
    ]


def test_seeds_that_were_asked_other_things_are_an_error():
    row = {"task": "recall", "needles": "4", "hay": "0", "slot": "cross", "temperature": "1.0"}
    runs = [[row | {"right": "0101"}], [row | {"right": "010"}]]
    with pytest.raises(UserError, match="seeds differ"):
        findings.gather(runs, "sweep")
    gathered = findings.gather([runs[0], runs[0]], "sweep")
    assert gathered[Cell("recall", 4, 0, "cross", 1.0)].above.shape == (2, 4)


def test_without_temperature_one_nothing_can_be_compared():
    cells = line(Cell("recall", 4, 0, "cross", 1.0), {0.5: 0.5})
    with pytest.raises(UserError, match=r"1\.0 must be among"):
        findings.accuracy("echo", cells, OPTIONS)
