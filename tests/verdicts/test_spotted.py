"""Digits that were spotted: planted rows, counted by hand."""

import numpy as np
import pytest

from focused_attention.verdicts import spotted
from focused_attention.verdicts.evidence import NotComparedError
from focused_attention.verdicts.findings import Options
from focused_attention.verdicts.tables import COLUMNS

OPTIONS = Options(resamples=200, confidence=0.95)


def row(hits, extra, temperature="1.0"):
    return {"hay": "12", "temperature": temperature, "hits": hits, "extra": extra}


RUNS = [  # of two seeds, who hear the same two recordings with three digits each
    [row("111 110", "00"), row("111 111", "01", "0.71")],
    [row("111 000", "20"), row("000 000", "00", "0.71")],
]


def test_an_answer_is_exact_if_all_digits_are_written_and_nothing_else():
    cells = {"echo": spotted.gather(RUNS)}
    assert spotted.exact(cells, "echo", 12, 1.0).tolist() == [[1, 0], [0, 0]]
    assert spotted.exact(cells, "echo", 12, 0.71).tolist() == [[1, 0], [0, 0]]
    for arm, hay in (("echo-long", 12), ("echo", 4)):
        with pytest.raises(NotComparedError, match="this profile does not"):
            spotted.exact(cells, arm, hay, 1.0)


def test_every_part_is_counted():
    table = spotted.spotting("echo", spotted.gather(RUNS), OPTIONS)
    assert all(tuple(row) == COLUMNS["spotting"] for row in table)
    rates = {
        heat: {row["measure"]: row["rate"] for row in table if row["temperature"] == heat}
        for heat in (0.71, 1.0)
    }
    assert rates[1.0] == pytest.approx({
        "exact": 1 / 4, "precision": 8 / 10, "recall": 8 / 12, "written": 10 / 4,
        "first": 3 / 4, "second": 3 / 4, "third": 2 / 4,
    })  # fmt: skip
    assert rates[0.71]["precision"] == pytest.approx(6 / 7)
    for one in table:
        assert one["difference"] == pytest.approx(
            one["rate"] - rates[1.0][one["measure"]], abs=1e-9
        )
        assert (one["seeds"], one["utterances"]) == (2, 2)


def test_where_nothing_is_written_there_is_no_precision():
    runs = [[row("000 000", "00")]]
    table = spotted.spotting("echo", spotted.gather(runs), OPTIONS)
    rates = {one["measure"]: one["rate"] for one in table}
    assert np.isnan(rates["precision"])
    assert rates["recall"] == rates["written"] == 0
