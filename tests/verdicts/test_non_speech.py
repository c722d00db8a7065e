"""W4's verdict: what is planted is found, chance is not, and what clips share is counted once."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from focused_attention import plots
from focused_attention.verdicts import non_speech
from focused_attention.verdicts.non_speech import MissingError, agrees, draws, primary, table

KINDS = {"music": ["a"] * 12 + ["b"] * 10 + ["c"] * 8, "white": ["w1", "w1", "w2", "w2"]}
RECORDINGS = ["p,q", "q,r", "r,s", "s,t", "t,u", "u,v", "v,w", "w,p", "p,t", "q,v"]


def rows(words, *, kinds=None, losses=(1.0,) * 10, **about):
    """A cell's rows; words of all clips in order."""
    kinds, words, at, made = kinds or KINDS, list(words), 0, []
    state = {"slot": "cross", "temperature": 1.0, "heads": "", "chosen": "", "times": "yes"} | about
    for kind, sources in kinds.items():
        n = len(sources)
        half = [ord(source[-1]) % 2 for source in sources]
        each = {
            "sources": sources, "half": half, "words": words[at : at + n], "tokens": [1] * n,
            "no_speech": [0.9] * n, "scores": [-0.5] * n, "loops": [0] * n,
        }  # fmt: skip
        at += n
        joined = {name: " ".join(map(str, values)) for name, values in each.items()}
        made.append(state | {"kind": kind, "n": n} | joined | {"losses": "", "prompts": ""})
    assert at == len(words)
    spoken = {"losses": " ".join(map(str, losses)), "prompts": " ".join(RECORDINGS)}
    blank = dict.fromkeys(joined, "")
    return [*made, state | {"kind": "speech", "n": 10} | blank | spoken]


def test_a_planted_fall_is_found_and_read_from_a_file_alike():
    plain = [1] * 30 + [1, 1, 0, 0]
    found = rows(plain) + rows([0, 3] * 15 + [1, 1, 0, 0], temperature=0.71)
    drawn, n = primary(found, 300)
    assert n == 34
    assert drawn[0] == pytest.approx(-100 * 15 / 34)
    assert drawn[1:].max() < 0
    as_text = [{name: str(value) for name, value in row.items()} for row in found]
    assert np.array_equal(primary(as_text, 300)[0], drawn)


def test_a_guesser_gets_nothing():
    """Transcripts that temperature does not change but by chance: zero lies in the interval."""
    rng = np.random.default_rng(1)
    sizes = {"music": [f"m{i}" for i in range(40)], "white": [f"w{i}" for i in range(20)]}
    inside = 0
    for _ in range(40):
        sharp, plain = (rng.integers(2, size=60) for _ in range(2))
        found = rows(plain, kinds=sizes) + rows(sharp, kinds=sizes, temperature=0.71)
        low, high = np.quantile(primary(found, 300)[0][1:], [0.025, 0.975])
        inside += low <= 0 <= high
    assert 34 <= inside <= 40


def test_the_rows_without_times_or_heads_are_not_the_comparison():
    found = rows([1] * 34, times="no") + rows([0] * 34, temperature=0.71, heads="0.1")
    with pytest.raises(MissingError, match="not run"):
        primary(found + rows([1] * 34), 10)
    with pytest.raises(MissingError):
        primary(found, 10)


def test_sources_are_drawn_whole_and_kinds_keep_their_size():
    kinds = np.repeat(["music", "white"], [30, 4])
    sources = np.array([source for of in KINDS.values() for source in of])
    weights = draws(kinds, sources, 200)
    assert np.array_equal(weights[0], np.full(34, 1 / 34))
    assert weights[:, :30].sum(axis=1) == pytest.approx(30 / 34)
    assert weights.sum(axis=1) == pytest.approx(1.0)
    for source in "a", "b", "w1":
        assert (np.ptp(weights[:, sources == source], axis=1) < 1e-12).all()
    alone = draws(kinds, np.arange(34).astype(str), 200)
    of_a_piece = np.where(sources == "a", 1.0, 0.0)
    assert (weights @ of_a_piece).std() > 2 * (alone @ of_a_piece).std()


def test_shares_after_the_rule_of_silence_and_loops():
    cell = rows([1] * 34)
    cell[1] |= {"no_speech": "0.7 0.7 0.5 0.5", "scores": "-1.0 -0.9 -1.1 -0.9", "loops": "1 0 0 0"}
    found = table("tiny.en", cell, resamples=20, confidence=0.9)
    white = next(row for row in found if row["kind"] == "white")
    assert (white["share"], white["kept"], white["loops"]) == (1.0, 0.75, 0.25)
    assert white["cost"] == ""


def test_masked_heads_stop_what_they_make_and_cost_what_they_cost():
    plain = [1] * 20 + [0] * 10 + [1] * 4
    worse = rows([0] * 15 + [1] * 15 + [1] * 4, heads="1.2", slot="decoder", losses=[1.2, 1.4] * 5)
    found = table("tiny.en", rows(plain) + worse, resamples=200, confidence=0.95)
    (row,) = (r for r in found if (r["heads"], r["kind"]) == ("1.2", "all"))
    assert row["stopped"] == pytest.approx(15 / 24)
    assert row["share_change"] == pytest.approx((-15 + 10) / 34)
    assert row["cost"] == pytest.approx(0.3)
    assert 0.2 <= row["cost_low"] < 0.3 < row["cost_high"] <= 0.4
    none = next(r for r in found if (r["heads"], r["kind"]) == ("", "all"))
    assert (
        none["share_change"]
        == none["words_change_high"]
        == none["cost_low"]
        == none["stopped_high"]
        == 0.0
    )


def test_chosen_heads_are_judged_where_they_were_not_chosen():
    sources = np.array([source for of in KINDS.values() for source in of])
    half = np.array([ord(source[-1]) % 2 for source in sources])
    found = rows([1] * 34)
    for chooses, heads in ((0, "0.0 0.1"), (1, "0.1 3.5")):
        silent_where_chosen = np.where(half == chooses, 0, 1)
        found += rows(silent_where_chosen, heads=heads, chosen=chooses, losses=[1.5 + chooses] * 10)
    done = [row for row in table("t", found, resamples=50, confidence=0.9) if row["kind"] == "all"]
    by = {row["chosen"]: row for row in done}
    assert by["0"]["n"] == (half == 1).sum()
    assert by["1"]["n"] == (half == 0).sum()
    assert by["both"]["n"] == 34
    for row in by.values():  # what only the choosing half shows is nowhere
        assert row["stopped"] == row["stopped_high"] == row["share_change"] == 0.0
    assert by["both"]["cost"] == pytest.approx(1.0)


def test_no_clip_to_stop_leaves_a_blank():
    found = table("t", rows([1] * 30 + [0] * 4), resamples=20, confidence=0.9)
    assert next(row for row in found if row["kind"] == "white")["stopped"] == ""


def test_speech_must_cost_what_the_stage_found():
    found = rows([1] * 34, losses=(0.5, 0.6, 0.7))
    found += rows([1] * 34, losses=(0.6, 0.6, 0.6), temperature=0.71)
    like = {"condition": "padded", "layer": "all", "technique": "none", "length": "29.0"}
    listened = [
        like | {"temperature": "1.0", "losses": "0.5 0.6 0.7 0.9"},
        like | {"temperature": "0.71", "losses": "0.6 0.6 0.6005 0.9"},
        like | {"condition": "unpadded", "temperature": "0.71", "losses": "9 9 9 9"},
    ]
    said = agrees(found, listened)
    assert said["holds"]
    assert said["off"] == pytest.approx(0.0005)
    listened[0]["losses"] = "0.5 0.6 0.69 0.9"
    assert not agrees(found, listened)["holds"]
    with pytest.raises(MissingError, match="listen"):
        agrees(found, listened[1:])


def test_the_margin_of_silence_is_openais():
    from focused_attention.decoding.windows import Options

    options = Options()
    assert (options.no_speech, options.least_score) == (non_speech.SILENT, non_speech.UNSURE)


def test_the_figure_says_what_masking_changes():
    found = rows([1] * 34)
    for head, still in (("0.0", 34), ("0.1", 17), ("1.0", 0), ("1.1", 34)):
        found += rows([1] * still + [0] * (34 - still), heads=head, slot="decoder")
    for slot, value in (("cross", 0.5), ("decoder", 2.0), ("encoder", 2.0)):
        found += rows([1] * 17 + [0] * 17, slot=slot, temperature=value)
    file = io.StringIO()
    pd.DataFrame(table("t", found, resamples=20, confidence=0.9)).to_csv(file, index=False)
    file.seek(0)
    fig = plots.non_speech(pd.read_csv(file), "t")
    said = {text.get_position(): text.get_text() for text in fig.axes[1].texts}
    assert said == {
        (0, 0): "0",
        (1, 0): "\N{MINUS SIGN}50",
        (0, 1): "\N{MINUS SIGN}100",
        (1, 1): "0",
    }
    plt.close(fig)
