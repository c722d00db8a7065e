"""Where attention looks: planted slopes, and the temperature that keeps a planted entropy."""

import numpy as np
import pytest

from focused_attention.verdicts.hearing import curves
from focused_attention.verdicts.looking import MEASURES, check, heads, matched, slopes, table

KEYS = [275, 500, 1475]
HEATS = [0.5, 1.0, 2.0]
OPTIONS = {"resamples": 100, "confidence": 0.95}
N = 6


def rows_of(*, dilutes=0.3, softens=1.0):
    """Cells of `keys`: entropy 3, and so much more an octave of keys and of temperature.

    Head 1.0 gains a tenth of its mass on silence an octave of keys, head 0.0 none.
    """
    spread = np.linspace(-0.2, 0.2, N)
    rows = []
    for keys in KEYS:
        octaves = np.log2(keys / KEYS[0])
        about = {"condition": "keys", "length": "5.0", "silence": str(keys / 50 - 5),
                 "keys": str(keys), "recordings": str(N)}  # fmt: skip
        for slot in ("cross", "encoder", "decoder", "uniform"):
            for heat in HEATS if slot == "cross" else [1.0]:
                nats = 3 + spread + dilutes * octaves + softens * np.log2(heat)
                measured = {name: [0.1] * N for name in MEASURES}
                measured |= {"entropy": nats, "losses": [heat] * N}
                if heat != 1:
                    measured |= dict.fromkeys(set(MEASURES) - {"entropy", "share"}, ())
                if slot == "decoder":
                    measured |= dict.fromkeys(("between", "after", "own", "near"), ())
                row = about | {"slot": slot, "temperature": str(heat), "layer": "all"}
                row |= {"head": "all", "prompts": ""}
                rows.append(row | {name: " ".join(f"{x:.6f}" for x in of)
                                   for name, of in measured.items()})  # fmt: skip
        rows[-6]["prompts"] = " ".join(f"a{i},b{i % 3}" for i in range(N))
        for layer, after in (("0", 0.2), ("1", 0.2 + 0.1 * octaves)):
            one = dict.fromkeys(MEASURES, "0.1") | {"after": str(after), "losses": ""}
            row = about | {"slot": "cross", "temperature": "1.0", "layer": layer, "head": "0"}
            rows.append(row | one | {"prompts": ""})
    return rows


def heard_of(scale=1.0):
    """Stage listen's curves of twice the recordings: a loss of T, or as many times."""
    held = [{"length": "5.0", "prompts": f"a{i} b{i % 3}"} for i in range(2 * N)]
    rows = [
        {"condition": "keys", "length": "5.0", "silence": str(keys / 50 - 5), "layer": "all",
         "technique": "none", "temperature": str(heat), "keys": str(float(keys)),
         "losses": " ".join([str(scale * heat)] * 2 * N)}
        for keys in KEYS for heat in HEATS
    ]  # fmt: skip
    return curves("tiny.en", "cross", rows, held, OPTIONS["resamples"])


def test_every_row_has_its_numbers():
    found = table("tiny.en", rows_of(), **OPTIONS)
    assert len({tuple(row) for row in found}) == 1
    (first,) = (r for r in found if (r["slot"], r["temperature"], r["keys"], r["head"])
                == ("cross", 1.0, 275, "all"))  # fmt: skip
    assert first["entropy"] == pytest.approx(3)
    assert first["entropy_low"] < 3 < first["entropy_high"]
    assert first["silence"] == pytest.approx(0.2)
    assert first["support_ms"] == pytest.approx(2)
    for row in found:
        assert (row["own"] == "") == (row["slot"] == "decoder" or row["temperature"] != 1)
        assert (row["support_ms"] == "") == (row["own"] == "")
        assert (row["entropy_low"] == "") == (row["head"] != "all")


@pytest.mark.parametrize("dilutes", [0.3, 0.0], ids=["dilutes", "does not"])
def test_a_planted_slope_is_found_and_none_where_none_is(dilutes):
    found = slopes("tiny.en", rows_of(dilutes=dilutes), **OPTIONS)
    (row,) = (r for r in found if (r["slot"], r["of"]) == ("cross", "entropy"))
    for end in ("", "_low", "_high"):  # the same recordings everywhere: nothing is left to chance
        assert row[f"slope{end}"] == pytest.approx(dilutes, abs=1e-6)


def test_heads_are_ranked_by_what_silence_gains():
    found = heads("tiny.en", rows_of())
    assert [row["layer"] for row in found] == ["1", "0"]
    assert found[0]["gained"] == pytest.approx(0.1 * np.log2(1475 / 275))
    assert found[1]["gained"] == 0


def test_the_temperature_that_keeps_entropy():
    """An octave of temperature is worth a nat, an octave of keys 0.3."""
    found = matched("tiny.en", rows_of(dilutes=0.3, softens=1.0), heard_of(), **OPTIONS)
    assert [row["keys"] for row in found] == KEYS
    for row in found:
        exact = -0.3 * np.log2(row["keys"] / KEYS[0])
        assert np.log2(row["temperature"]) == pytest.approx(exact, abs=1e-5)
        assert row["temperature_low"] == pytest.approx(row["temperature"])
        line = 0.5 * exact  # of a loss T, from 0.5 at -1 to 1 at 0 octaves
        assert row["change"] == pytest.approx(line, abs=1e-5)
    far = matched("tiny.en", rows_of(dilutes=3.0), **OPTIONS)
    assert far[-1]["temperature"] == 0.5  # no farther than was heated
    assert far[-1]["change"] == ""


def test_losses_are_checked_against_stage_listen():
    assert check("tiny.en", rows_of(), heard_of())["holds"]
    wrong = check("tiny.en", rows_of(), heard_of(1.01))
    assert (wrong["holds"], wrong["largest"]) == (False, pytest.approx(0.02))
    assert not check("tiny.en", rows_of(), [])["holds"]
