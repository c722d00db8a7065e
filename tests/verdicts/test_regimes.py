"""Arms that go on, windows and models put together of two, with effects that were planted."""

from dataclasses import replace

import numpy as np
import pytest

from focused_attention.verdicts import regimes
from focused_attention.verdicts.evidence import LONG, Options
from tests.verdicts import planted_evidence

OPTIONS = Options(resamples=500, confidence=0.95)
SHARPER, SOFTER = planted_evidence.SELF.values()
SEEDS, N = 4, 200


def row_of(rows, **wanted):
    """The one row that has these values."""
    (found,) = (row for row in rows if all(row[k] == v for k, v in wanted.items()))
    return found


def said(shares, seed, **about):
    """A row of recall: who binds in this share of the recordings and writes what he binds."""
    drawn = np.random.default_rng(seed).random(N) < shares
    digits = "".join(map(str, drawn.astype(int)))
    size = {"task": "recall", "needles": "3", "hay": "56", "filler": "words", "seconds": "59.0"}
    return size | {"right": digits, "bound": digits, "extra": "", "note": ""} | about


def spotting(digits, extra, **about):
    size = {"task": "spot", "needles": "3", "hay": "12", "filler": "", "seconds": "59.0"}
    return size | {"right": digits, "bound": "", "extra": extra, "note": ""} | about


def test_a_planted_slope_is_recovered_by_name():
    told = planted_evidence.evidence(rates={SHARPER: {1.0: 0.8}, SOFTER: {1.0: 0.6}})
    rows = regimes.schedules(told)
    slopes = {row["arm"]: row["slope"] for row in rows}
    assert slopes[SHARPER] < 0 < slopes[SOFTER]
    gained = row_of(rows, arm=SHARPER, measure="bound")
    assert gained["difference"] == pytest.approx(0.1, abs=0.02)
    assert 0 < gained["difference_low"] < gained["difference_high"]
    assert (gained["against"], gained["slot"]) == (LONG, "encoder")
    assert row_of(rows, arm=SOFTER, measure="bound")["difference_high"] < 0


def test_the_control_stands_in_both_slots_and_gains_nothing():
    rows = [row for row in regimes.schedules(planted_evidence.evidence()) if row["arm"] == LONG]
    assert {row["slot"] for row in rows} == {"encoder", "cross"}
    assert {row["difference"] for row in rows} == {0.0}


def test_an_arm_with_fewer_seeds_than_the_control_is_left_out():
    told, fewer = planted_evidence.evidence(), planted_evidence.evidence(seeds=3)
    told = replace(told, recalled=told.recalled | {SHARPER: fewer.recalled[SHARPER]})
    assert SHARPER not in {row["arm"] for row in regimes.schedules(told)}


def test_learned_slopes_are_means_over_heads_with_intervals_over_seeds():
    rng = np.random.default_rng(0)
    of_seed = rng.normal(-0.3, 0.05, 10)
    rows = [
        {"arm": "a", "slot": "cross", "seed": str(seed)}
        | {"temperature": "2.0", "slope": str(middle + shift)}
        for seed, middle in enumerate(of_seed)
        for shift in (-0.1, 0.1)
    ]
    found = row_of(regimes.learned(rows, OPTIONS), quantity="slope")
    assert found["mean"] == pytest.approx(of_seed.mean())
    assert (found["seeds"], found["heads"]) == (10, 20)
    assert found["low"] < found["mean"] < found["high"] < 0
    reach = 2.262 * of_seed.std(ddof=1) / 10**0.5  # Student's t of nine degrees of freedom
    assert found["high"] - found["mean"] == pytest.approx(reach, rel=1e-3)
    assert found["rising"] == 0
    level = row_of(regimes.learned(rows, OPTIONS), quantity="log2_temperature")
    assert level["low"] == level["mean"] == level["high"] == 1.0
    assert level["rising"] == 10


def test_who_has_learned_a_level_alone_has_no_slope():
    rows = [{"arm": "a", "slot": "encoder", "seed": "1", "temperature": "0.5", "slope": ""}]
    (row,) = regimes.learned(rows, OPTIONS)
    assert row["quantity"] == "log2_temperature"
    assert np.isnan([row["low"], row["high"]]).all()  # of one seed


def windowed(shares):
    """Rows of every seed by arm: shares that bind, by arm and width, none: as it was trained."""

    def row(share, seed, width):
        how = {"technique": "window", "settings": f"encoder width={width}"}
        return said(share, seed, **how if width else {"technique": "none", "settings": ""})

    return {
        arm: [[row(share, seed, width) for width, share in of.items()] for seed in range(SEEDS)]
        for arm, of in shares.items()
    }


def test_a_window_that_helps_while_the_model_runs_is_told_from_one_that_was_trained():
    rows = regimes.windows(
        windowed({
            "echo": {None: 0.5, 16: 0.9},
            "echo-window-none": {None: 0.6},
            "echo-window-8": {None: 0.8},
        }),
        planted_evidence.PARAMS,
        OPTIONS,
    )  # fmt: skip
    while_running = row_of(rows, arm="echo", window="16", measure="bound")
    assert while_running["imposed"] == "inference"
    assert while_running["difference"] == pytest.approx(0.4, abs=0.05)
    assert row_of(rows, arm="echo", window="", measure="bound")["difference"] == 0.0
    trained = row_of(rows, arm="echo-window-8", measure="bound")
    assert (trained["imposed"], trained["window"], trained["positions"]) == (
        "training",
        8,
        "rotary",
    )
    assert trained["difference"] == pytest.approx(0.2, abs=0.06)


def test_spot_counts_recordings_of_which_all_and_nothing_else_is_written():
    how = {"technique": "window", "settings": "encoder width=4"}
    runs = [
        [spotting("3332", "0100", technique="none", settings=""), spotting("3333", "0000", **how)]
    ]
    rows = regimes.windows({"echo": runs}, planted_evidence.PARAMS, OPTIONS)
    assert row_of(rows, window="")["rate"] == 0.5
    assert row_of(rows, window="4")["rate"] == 1.0
    assert {row["filler"] for row in rows} == {"prompts"}


def test_what_else_is_done_to_a_model_is_held_against_it_untouched():
    hot = {"technique": "temperature", "settings": "cross value=2.0"}
    narrow = {"technique": "window", "settings": "encoder width=4"}
    untouched = {"technique": "none", "settings": ""}
    runs = [[said(0.9, s, **untouched), said(0.5, s, **hot), said(0.1, s, **narrow)]
            for s in range(SEEDS)]  # fmt: skip
    rows = regimes.techniques({"echo": runs}, OPTIONS)
    assert {row["technique"] for row in rows} == {"temperature"}
    assert row_of(rows, measure="bound")["difference"] == pytest.approx(-0.4, abs=0.06)


def test_what_does_not_apply_and_what_was_not_tried_have_no_rows():
    refused = {"technique": "window", "settings": "encoder width=4", "note": "not applicable"}
    runs = [[said(0.5, 0, technique="none", settings=""), said(0.5, 0) | refused]]
    assert regimes.windows({"echo": runs}, planted_evidence.PARAMS, OPTIONS) == []


def test_the_encoders_part_is_found():
    """Planted: whoever hears with the longer-trained encoder binds, whichever decoder asks."""
    shares = {"own": 0.95, "start": 0.6}
    runs = [
        [
            said(shares[encoder], 10 * seed, encoder=encoder, decoder=decoder)
            for encoder in shares
            for decoder in shares
        ]
        for seed in range(SEEDS)
    ]
    rows = regimes.swapped({LONG: runs}, planted_evidence.PARAMS, OPTIONS)
    assert row_of(rows, encoder="echo", decoder=LONG, measure="bound")["difference"] == 0.0
    encoders = row_of(rows, encoder=LONG, decoder="echo", measure="bound")
    assert encoders["difference"] == pytest.approx(0.35, abs=0.06)
    assert encoders["difference_low"] > 0
