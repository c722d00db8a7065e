"""Word times: planted boundaries are found to the position, and dev and test share no word."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from focused_attention import results
from focused_attention.decoding.boundaries import Forced
from focused_attention.errors import UserError
from focused_attention.schema import overlay
from focused_attention.stages import word_times
from focused_attention.tasks.joined import Prompt
from focused_attention.verdicts import times
from tests.stages.word_strings import HEADS, LAYERS, listener, pool

ROOT = Path(__file__).parents[2]
SMALL = {
    "profile": "tiny",
    "word_times": {
        "gap": [0.04, 0.1], "lengths": [2.0, 3.0], "strings": {"dev": 2, "test": 3},
        "qk_scales": [0.5, 1.0], "temperatures": [1.0, 2.0],
    },
}  # fmt: skip
EVERY = {word_times.AS_IT_IS: {"planted": [0], "noise": [1], "some": [0, 1, 2]}}


def wired(string: word_times.String, shift: int = 0):
    """Weights whose head 0 heard each token where it was, so many positions later."""

    def forced(model, tokenizer, audio, prefix, text, *, positions) -> Forced:
        rng = np.random.default_rng(1)
        weights = rng.uniform(size=(LAYERS * HEADS, len(prefix) + len(text) + 2, positions))
        weights[0] = 1e-6
        row = len(prefix)  # that writes the first token
        for tokens, (start, end) in zip(string.words, string.truth, strict=True):
            borders = np.linspace(start, end, len(tokens) + 1) / 0.02
            for begin, stop in pairwise(borders):
                weights[0, row, round(begin) + shift : round(stop) + shift] = 1.0
                row += 1
        weights[0, row, round(stop) + shift :] = 1.0
        return Forced(torch.tensor(weights), torch.zeros(len(text) + 1))

    return forced


def planted(monkeypatch, shift: int) -> dict[str, np.ndarray]:
    """Errors by set of heads, string after string, where head 0 knows the truth."""
    hears, found = listener(), {}
    for string in word_times.strings(hears, pool(), [1.8, 2.8], 3, (0.0, 0.0)):
        longer = replace(string.joined, seconds=string.joined.seconds + 0.2)
        string = replace(string, joined=longer)  # silence follows, longer than the smoothing
        monkeypatch.setattr(word_times, "forced", wired(string, shift))
        for look in word_times.looks(hears, string, EVERY):
            found.setdefault(look.heads, []).append(look.errors)
    return found


def test_weights_wired_to_the_true_boundaries_tell_the_true_times(monkeypatch):
    found = planted(monkeypatch, 0)
    assert sum(len(errors) for errors in found["planted"]) > 30
    assert all((errors == 0).all() for errors in found["planted"])
    assert np.abs(np.concatenate(found["noise"])).mean() > 100


def test_a_wired_shift_is_the_error_of_all_but_the_first_start(monkeypatch):
    for errors in planted(monkeypatch, 2)["planted"]:
        assert errors[0, 0] == 0
        assert (errors.ravel()[1:] == 40).all()


def test_dev_and_test_share_no_word():
    words = pool()
    again = {f"{key}-2": p for key, p in words.items()}  # other recordings
    loud = {
        f"{k}-3": Prompt(key=k, text=p.text.upper(), samples=p.samples) for k, p in words.items()
    }
    split = word_times.split_words(words | again | loud, 0.4)
    said = {name: {p.text.lower() for p in part.values()} for name, part in split.items()}
    assert not said["dev"] & said["test"]
    assert len(said["dev"] | said["test"]) == len(words)
    assert 0 < len(said["dev"]) < len(said["test"])
    assert all(len(part) == 3 * len(said[name]) for name, part in split.items())


def test_words_stand_as_far_apart_as_the_gaps_say():
    strings = [*word_times.strings(listener(), pool(), [3.0], 4, (0.04, 0.1))]
    gaps = np.concatenate([s.truth[1:, 0] - s.truth[:-1, 1] for s in strings])
    assert len(strings) == 4
    assert gaps.min() >= 0.04 - 1e-4
    assert gaps.max() <= 0.1 + 1e-4
    assert np.ptp(gaps) > 0.03


def test_a_word_that_its_tokens_do_not_keep_is_one_line():
    hears = listener()
    hears.tokenizer.words = lambda tokens, language: [(" all", tokens)]
    with pytest.raises(UserError, match="other words"):
        next(word_times.strings(hears, pool(), [2.0], 1, (0.0, 0.0)))


def test_a_temperature_is_one_forward_pass_for_every_qk_scale(monkeypatch):
    hears, given = listener(), []
    string = next(word_times.strings(hears, pool(), [2.0], 1, (0.04, 0.1)))
    forced = word_times.forced
    monkeypatch.setattr(
        word_times, "forced", lambda *a, **k: given.append(1) or forced(*a, **k)
    )  # fmt: skip
    settings = [word_times.Setting(*pair) for pair in ((1, 1), (0.5, 1), (2, 1), (1, 2))]
    sets = {"a": [0], "b": [1, 2]}
    looks = [*word_times.looks(hears, string, {setting: sets for setting in settings})]
    assert len(given) == 2
    assert {(look.setting, look.heads) for look in looks} == {
        (s, h) for s in settings for h in "ab"
    }
    losses = {look.setting: look.loss for look in looks}
    assert losses[settings[0]] == losses[settings[1]] != losses[settings[3]]


def test_the_heads_that_err_least_are_chosen():
    medians = {"0-0": 30.0, "0-1": 10.0, "1-0": 20.0, "1-1": 40.0}
    sets = word_times.chosen(listener(), medians)
    assert sets == {"published": [2, 3], "chosen": [1, 2], "best": [1]}


def test_the_stage_writes_tables_that_belong_together(tmp_path, monkeypatch):
    import yaml

    params = overlay(yaml.safe_load((ROOT / "params.yaml").read_text()), SMALL)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(word_times.published, "listener", lambda name: listener())
    monkeypatch.setattr(word_times, "single_words", pool)
    written = []
    for _ in range(2):
        word_times.main(["small"])
        folder = tmp_path / "results" / "tiny" / "word_times"
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
        rows, strings, heads = (
            results.read_csv(folder / f"small{part}.csv") for part in ("", "-strings", "-heads")
        )
        shutil.rmtree(folder)
    assert written[0] == written[1]
    assert len(rows) == 2 * 3 * 3 * 2  # splits, sets of heads, settings, lengths
    assert len(strings) == 2 * (2 + 3)
    assert len(heads) == LAYERS * HEADS
    assert sorted(row["chosen"] for row in heads) == ["", "", "1", "2"]
    first = min(heads, key=lambda row: float(row["dev_both"]))
    assert first["chosen"] == "1"
    found = times.read(rows, strings)
    assert len(found) == 2 * 3 * 3
    errors = found["test", "best", 1.0, 1.0]
    assert np.nanmedian(np.abs(errors.of("both"))) == float(first["test_both"])
