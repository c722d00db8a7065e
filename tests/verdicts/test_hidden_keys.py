"""Hidden keys: planted slopes are found, those of the same recordings are compared, others not."""

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.verdicts.hearing import curves
from focused_attention.verdicts.hidden_keys import check, table

KEYS = [275, 350, 500, 750, 1100, 1475, 1500]
HEATS = [0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0, 2.83]
OPTIONS = {"resamples": 100, "confidence": 0.95}
N = 12


def losses(keys, moves, n=N, temperatures=HEATS, seed=0):
    """Parabolas around a best temperature that moves by so many octaves an octave of keys."""
    rng = np.random.default_rng(seed)
    own = rng.uniform(0.2, 1.5, n)
    bend = rng.uniform(0.5, 1.5, n)
    centre = moves * np.log2(keys / 1500)
    return {t: own + bend * (np.log2(t) - centre) ** 2 for t in temperatures}


def rows_of(moves, **more):
    said = " ".join(f"a{i},b{i % 5}" for i in range(N))
    return [
        {"condition": "hidden", "length": "5.0", "silence": str(keys / 50 - 5), "layer": "all",
         "technique": "none", "temperature": str(t), "keys": str(keys), "tokens": "9",
         "losses": " ".join(f"{x:.4f}" for x in of),
         "prompts": said if t == HEATS[0] else ""}
        for keys in KEYS for t, of in losses(keys, moves, **more).items()
    ]  # fmt: skip


def heard_of(moves, n=2 * N, condition="keys", sizes=KEYS[:-1], **more):
    """Stage listen's curves of more recordings, the first of which are ours."""
    held = [{"length": "5.0", "prompts": f"a{i} b{i % 5}"} for i in range(n)]
    rows = []
    for keys in sizes:
        ours = losses(keys, moves, temperatures=[0.25, *HEATS, 4.0], **more)
        others = losses(keys, -moves, n=n - N, temperatures=[0.25, *HEATS, 4.0], seed=7)
        rows += [
            {"condition": condition, "length": "5.0", "silence": str(keys / 50 - 5),
             "layer": "all", "technique": "none", "temperature": str(t), "keys": str(float(keys)),
             "losses": " ".join(f"{x:.4f}" for x in np.concatenate([ours[t], others[t]]))}
            for t in ours
        ]  # fmt: skip
    return curves("tiny.en", "cross", rows, held, OPTIONS["resamples"])


def slopes(rows):
    return {(r["condition"], r["of"]): r for r in rows if r["of"].startswith("slope")}


@pytest.mark.parametrize("moves", [-0.1, 0.0], ids=["moving", "still"])
def test_a_planted_slope_is_found(moves):
    found = table("tiny.en", rows_of(moves), **OPTIONS)
    row = slopes(found)["hidden", "slope of best"]
    assert row["estimate"] == pytest.approx(moves, abs=1e-3)
    assert row["low"] <= row["estimate"] + 1e-9
    assert row["estimate"] <= row["high"] + 1e-9
    read = [r for r in found if r["of"] == "best"]
    assert [r["keys"] for r in read] == KEYS[:-1]  # all keys are the padded condition
    assert {r["condition"] for r in found} == {"hidden"}


def test_keys_of_the_same_recordings_are_compared():
    found = slopes(table("tiny.en", rows_of(-0.1), heard_of(-0.04), **OPTIONS))
    assert found["keys", "slope of best"]["estimate"] == pytest.approx(-0.04, abs=1e-3)
    difference = found["difference", "slope of best"]
    assert difference["estimate"] == pytest.approx(-0.06, abs=1e-3)
    assert difference["high"] < 0


def test_the_same_losses_differ_by_nothing():
    found = slopes(table("tiny.en", rows_of(-0.1), heard_of(-0.1), **OPTIONS))
    for name in ("best", "softest", "softest_nat"):
        row = found["difference", f"slope of {name}"]
        assert row["estimate"] == row["low"] == row["high"] == 0


def test_other_recordings_are_not_compared():
    rows = rows_of(-0.1)
    for row in rows:
        row["prompts"] = row["prompts"].replace("a3,", "z,")
    assert {r["condition"] for r in table("tiny.en", rows, heard_of(-0.1), **OPTIONS)} == {"hidden"}


def test_all_keys_are_checked_against_the_padded_condition():
    padded = {"condition": "padded", "sizes": [1500]}
    assert check("tiny.en", rows_of(0.0), heard_of(0.0, **padded))["holds"]
    wrong = check("tiny.en", rows_of(0.0), heard_of(0.0, seed=3, **padded))
    assert not wrong["holds"]
    assert wrong["largest"] > 0.1
    assert check("tiny.en", rows_of(0.0), [])["largest"] is None


def test_rows_that_disagree_on_recordings_are_refused():
    rows = rows_of(0.0)
    rows[len(HEATS)]["prompts"] = "q,r"
    with pytest.raises(UserError, match="rows of 5 s name others") as error:
        table("tiny.en", rows, **OPTIONS)
    assert "\n" not in str(error.value)
