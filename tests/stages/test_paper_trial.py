"""What the paper says of the second trial, whatever it finds."""

import math
from pathlib import Path

import pandas as pd
import pytest

from tests.stages.desk import PILOT, all_judged, compiled, emptied, lay, rejudged

VERDICTS = ("supported", "equivalent", "refuted", "undecided", "not judged", "not run")


@pytest.fixture
def desk(house):
    lay()
    return house


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_its_words_and_the_abstract_stays_short(desk, verdict):
    before = compiled()
    all_judged(verdict)
    assert compiled() != before  # the abstract has its own assertions


def test_a_claim_that_does_harm_is_told_as_one(desk):
    all_judged("refuted")
    before = compiled()
    harm = {"effect": -0.05, "low": -0.08, "high": -0.03}
    rejudged(PILOT, lambda judged: judged["claims"]["C1c"].update(harm))
    some = compiled()
    rejudged(PILOT, lambda judged: judged["claims"]["C1c"].update(high=0.01))
    assert len({before, some, compiled()}) == 3


def test_what_a_profile_does_not_measure_is_left_out(desk):
    before = compiled()
    emptied("schedules", "learned", "windows", "swapped", "techniques", "slopes")
    assert compiled() != before


def test_the_precision_of_models_that_write_nothing_is_no_number(desk):
    path = Path("results/pilot/findings/spotting.csv")
    table = pd.read_csv(path)
    table.loc[table["measure"] == "precision", "rate":"difference_high"] = math.nan
    table.to_csv(path, index=False, na_rep="nan")
    assert compiled()


def test_a_trial_of_short_models_alone_is_told(desk):
    """A profile of which nothing went on from the short models, as a small one may be."""
    for name in ("answers", "slopes", "spotting", "learning", "entropy-length", "pruning"):
        path = Path(f"results/pilot/findings/{name}.csv")
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.startswith(("arm,", "echo,"))))
    emptied("schedules", "learned", "windows", "swapped", "techniques")
    all_judged("not run")
    assert compiled()


def test_claims_without_room_to_gain_are_named(desk):
    def room(judged, base):
        for claim in judged["claims"].values():
            claim |= {"base": base}

    rejudged(PILOT, lambda judged: room(judged, 0.5))
    before = compiled()
    rejudged(PILOT, lambda judged: room(judged, 0.97))
    assert compiled() != before


def test_windows_schedules_and_slopes_have_their_words(desk):
    """Rows that the pilot has none of."""
    before = compiled()
    rate = "3,128,0.6,0.5,0.7"
    change = "0.05,0.01,0.09"
    more = {
        "windows": [
            f"{arm},{imposed},rotary,16,recall,words,56,59.2,bound,{rate},{change}"
            for arm, imposed in (("echo", "inference"), ("echo-window-16", "training"))
        ],
        "techniques": [
            f"echo,temperature,encoder value={value},recall,words,56,59.2,bound,{rate},{change}"
            for value in (0.5, 1.41)
        ],
        "learned": [
            f"echo-cross-given-learned,cross,{quantity},3,48,-0.1,-0.2,-0.05,0"
            for quantity in ("slope", "log2_temperature")
        ],
        "schedules": [
            f"a,{slot},{name},{slope},{scale},words,56,59.2,bound,{rate},echo-long,{change}"
            for slot in ("encoder", "cross")
            for name, slope, scale in (
                ("constant", "", ""),
                ("power", 0.25, ""),
                ("log_n", "", ""),
                ("scalable", "", ""),
                ("learned", "", ""),
                ("published_sharper", "", 0.5),
                ("published_softer", "", 0.01),
            )
        ],
    }
    for name, rows in more.items():
        path = Path(f"results/pilot/findings/{name}.csv")
        path.write_text(path.read_text() + "".join(f"{row}\n" for row in rows))
    assert compiled() != before
