"""Verdicts on the module in Whisper's encoder: from made-up rows whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from focused_attention import plots
from focused_attention.verdicts import module

N = 12
PROMPTS = " ".join(f"a{i},b{i % 5},c{i % 7}" for i in range(N))
WAYS = (("unpadded", 5.0), ("padded", 5.0), ("padded", 29.0))
OPTIONS = {"resamples": 300, "confidence": 0.95}
COLUMNS = (
    "state", "arm", "seed", "rate", "split", "condition", "length", "recordings", "losses",
    "words", "substitutions", "deletions", "insertions", "tokens", "apart", "first_loss",
    "last_loss", "spans", "temperatures", "local", "prompts", "note",
)  # fmt: skip


def row(**given):
    """A row as it is read from a file: text alone."""
    said = dict.fromkeys(COLUMNS, "") | {"rate": 3e-5, "split": "test", "seed": 1} | given
    said = {name: value if isinstance(value, str) else told(value) for name, value in said.items()}
    assert said.keys() == set(COLUMNS)
    return said


def told(value):
    return " ".join(f"{v:g}" for v in value) if np.ndim(value) else str(value)


def made(effect=-0.05, wrong=None, seeds=(1, 2)):
    """Rows of plain attention and the hybrid, which is better by `effect` at 29 s once adapted."""
    rng = np.random.default_rng(0)
    level = {way: rng.uniform(0.3, 1.5, N).round(3) for way in WAYS}  # recordings differ much
    rows = [row(state="neutral", arm="tiny-en", split="dev", apart=0.0, rate=0.0)]
    rows.append(row(state="neutral", arm="tiny-en-hybrid", split="dev", apart=3e-6, rate=0.0))
    for arm in ("tiny-en", "tiny-en-hybrid"):
        hybrid = arm == "tiny-en-hybrid"
        for way, seed in [(way, seed) for way in WAYS for seed in seeds]:
            about = {"arm": arm, "condition": way[0], "length": way[1], "recordings": N}
            loss = level[way] - 0.1 + (effect if hybrid and way[1] == 29 else 0)
            loss = loss + (0.01 if seed == 2 else -0.01)
            more = {}
            if way[1] == 29:
                more = {"words": [70] * N, "substitutions": [2 + (wrong or 0) * hybrid] * N}
                more |= {"deletions": [1] * N, "insertions": [4] * N}
                more |= {"local": [0.1, 0.3]} if hybrid else {}
            rows.append(
                row(state="adapted", seed=seed, losses=loss, first_loss=0.8, **about, **more)
            )
            if seed == 1:
                prompts = {} if hybrid else {"prompts": PROMPTS}
                at = {"seed": 1, "rate": 0.0, "losses": level[way]}
                rows.append(row(state="untrained", **about, **prompts, **at))
    exchanged = {"condition": "exchanged", "length": 29.0, "losses": level["padded", 29.0] + 3.0}
    rows.append(row(state="adapted", arm="tiny-en", **exchanged))
    for state, rate, loss in (("tried", 1e-5, 0.5), ("adapted", 3e-5, 0.4), ("tried", 1e-4, 0.6)):
        about = {"split": "dev", "condition": "unpadded", "length": 5.0, "losses": [loss] * 3}
        rows.append(row(state=state, arm="tiny-en", rate=rate, **about))
    return rows


def one(table, **about):
    (found,) = (r for r in table if about.items() <= r.items())
    return found


def test_a_planted_effect_is_found_and_the_same_losses_have_none():
    drawn, n = module.primary(made(), 300)
    assert (drawn.shape, n) == ((301,), N)
    assert drawn == pytest.approx(np.full(301, -0.05))
    drawn, _ = module.primary(made(effect=0.0), 300)
    assert np.abs(drawn).max() < 1e-9


def test_chance_has_an_interval_with_zero_in_it():
    rows = made(effect=0.0)
    rng = np.random.default_rng(1)
    for of in rows:
        if (of["state"], of["arm"], of["length"]) == ("adapted", "tiny-en-hybrid", "29.0"):
            losses = np.array(of["losses"].split(), float)
            noise = rng.normal(0, 0.2, N)
            of["losses"] = told(losses + noise - noise.mean())
    drawn, _ = module.primary(rows, 500)
    assert np.quantile(drawn[1:], 0.025) < -0.02
    assert np.quantile(drawn[1:], 0.975) > 0.02


def test_the_table_compares_with_the_untouched_and_with_plain_adapted_alike():
    table = module.table("tiny.en", made(wrong=3), **OPTIONS)
    about = {"arm": "tiny-en-hybrid", "state": "adapted", "condition": "padded", "length": 29.0}
    whole = one(table, seed="all", **about)
    assert whole["seeds"] == 2
    assert whole["recordings"] == N
    assert whole["loss_change"] == pytest.approx(-0.15)
    assert whole["loss_against_plain"] == pytest.approx(-0.05)
    assert whole["loss_against_plain_low"] <= -0.05 + 1e-9
    assert whole["wer"] == pytest.approx(100 * 10 / 70)
    assert whole["wer_against_plain"] == pytest.approx(100 * 3 / 70)
    assert whole["wer_change"] == ""  # here nothing was written before
    assert (whole["local_least"], whole["local_most"]) == (0.1, 0.3)
    assert whole["span_mean"] == ""
    seeds = [one(table, seed=seed, **about) for seed in "12"]
    assert [s["loss_change"] for s in seeds] == pytest.approx([-0.16, -0.14])
    assert [s["loss_against_plain"] for s in seeds] == pytest.approx([-0.05, -0.05])
    short = one(table, seed="all", **about | {"condition": "unpadded", "length": 5.0})
    assert short["loss_against_plain"] == pytest.approx(0.0)
    assert short["wer"] == ""
    assert len({frozenset(r) for r in table}) == 1


def test_one_that_cannot_take_over_keeps_its_reason():
    note = "not applicable: it has no projections"
    refused = row(state="adapted", arm="odd", split="none", note=note)
    table = module.table("tiny.en", [*made(), refused, refused], **OPTIONS)
    assert one(table, arm="odd")["note"] == note
    assert one(table, arm="odd")["loss"] == ""
    assert module.table("tiny.en", [], **OPTIONS) == []


def broken(name):
    rows = made()
    for of in rows:
        plain = of["arm"] == "tiny-en"
        if name == "bits" and plain and of["state"] == "neutral":
            of["apart"] = "1e-38"
        if name == "apart" and not plain and of["state"] == "neutral":
            of["apart"] = "0.001"
        heard = of["state"], of["condition"], of["split"]
        if name == "worse" and plain and heard == ("adapted", "unpadded", "test"):
            of["losses"] = told(np.array(of["losses"].split(), float) + 0.13)
        if name == "exchanged" and of["condition"] == "exchanged":
            of["losses"] = told(np.array(of["losses"].split(), float) - 2.5)
        if name == "rate" and of["state"] == "tried" and of["rate"] == "1e-05":
            of["losses"] = "0.3 0.3 0.3"
    return rows


def test_the_checks_hold_where_all_is_well():
    found = module.checks(made(), 300, 0.95)
    assert {name: check["holds"] for name, check in found.items()} == {
        "neutral": True, "adapted": True, "exchanged": True, "rate": True,
    }  # fmt: skip
    assert all(check["guards"] == ["W7"] for check in found.values())
    assert found["adapted"]["change"] == pytest.approx(-0.1)
    assert found["exchanged"]["cost"] == pytest.approx(3.1)
    assert found["rate"]["losses"] == pytest.approx({1e-5: 0.5, 3e-5: 0.4, 1e-4: 0.6})


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("bits", "neutral"),
        ("apart", "neutral"),
        ("worse", "adapted"),
        ("exchanged", "exchanged"),
        ("rate", "rate"),
    ],
)
def test_a_check_fails_where_its_fault_is_put_in(name, check):
    found = module.checks(broken(name), 300, 0.95)
    assert [of for of, said in found.items() if not said["holds"]] == [check]


def test_what_was_not_run_is_said():
    rows = [r for r in made() if r["arm"] != "tiny-en-hybrid"]
    with pytest.raises(ValueError, match=r"module: not run: adapted, tiny-en-hybrid, padded, 29"):
        module.primary(rows, 10)
    for of in rows:
        of["prompts"] = ""
    with pytest.raises(ValueError, match=r"module: no prompts of 5 s; run the trial again"):
        module.primary(rows, 10)


def test_the_figure_has_every_arm_where_the_table_has_it():
    refused = row(state="adapted", arm="odd", split="none", note="not applicable: reason")
    table = pd.DataFrame(module.table("tiny.en", [*made(), refused], **OPTIONS))
    figure = plots.module_losses(table)
    last = figure.axes[1]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["plain softmax", "hybrid, corrected"]
    marks = [container.lines[0].get_xydata() for container in last.containers]
    (taken, adapted) = marks
    assert taken[:, 0] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert adapted[:, 0] == pytest.approx([-0.1, -0.15])
    assert (adapted[:, 1] > taken[:, 1]).all()
