"""Answers survive the results file, as the counts that rates are made of."""

import csv

import numpy as np
import pytest

from focused_attention import results
from focused_attention.metrics.counts import Counts, digits, scores

ANSWERS = {
    "recall": [Counts(1, 1, 1), Counts(1, 1, 0), Counts(1, 1, 1)],
    "spot": [Counts(3, 9, 3), Counts(3, 0, 0), Counts(4, 2, 1)],
}
EXPECTED = {"recall": ([1, 0, 1], [1, 1, 1]), "spot": ([6, 0, 2], [12, 3, 6])}


@pytest.mark.parametrize("task", ANSWERS)
def test_answers_are_read_as_they_were_written(task, tmp_path):
    results.write_csv(tmp_path / "answers.csv", [digits(ANSWERS[task], task)])
    with (tmp_path / "answers.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    for read, expected in zip(scores(row), EXPECTED[task], strict=True):
        np.testing.assert_array_equal(read, expected)


def test_pruned_answers_have_one_column():
    right, of = scores({"right": "0110"})
    np.testing.assert_array_equal(right, [0, 1, 1, 0])
    np.testing.assert_array_equal(of, [1, 1, 1, 1])
