"""The loop learns, resumes to the byte, and reports what it should."""

import errno
import json
import os
import threading
from dataclasses import replace

import pytest
import torch

from focused_attention import models
from focused_attention.errors import UserError
from focused_attention.metrics.assessment import assess
from focused_attention.metrics.spans import focus
from focused_attention.params import Train
from focused_attention.training import loop
from focused_attention.training.objective import losses

PARAMS = Train(
    arithmetic="native", decay=1.0,
    steps=12, batch_seconds=6.0, mixture={"digits": 1.0}, curriculum=0,
    learning_rate=3e-3, warmup=4, weight_decay=0.01, betas=[0.9, 0.98], clip=1.0,
    label_smoothing=0.1, ctc=0.3, log_every=2, dev_every=6, dev_utterances=4, checkpoint_every=4,
)  # fmt: skip


def tiny_model(composer, ctc=True):
    torch.manual_seed(1)
    return models.build(
        "echo", n_mels=8, n_audio_ctx=100, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
        n_vocab=composer.store.tokenizer.size, n_text_ctx=20, n_text_state=16, n_text_head=2,
        n_text_layer=1, conv_strides=(1, 2), ctc=ctc, focus_blocks=1,
    )  # fmt: skip


def run(composer, folder, params=PARAMS, model=None, fingerprint="same"):
    model = model or tiny_model(composer)
    history = loop.train(
        model, composer, params, plans=composer.training(params.mixture, params.batch_seconds, 1),
        dev={"digits": composer.evaluation("digits", "dev", 4)}, assess=assess,
        watch=focus, hardware=torch.device("cpu"), path=folder / "state.safetensors",
        fingerprint=fingerprint, log=folder / "log.jsonl", label="tiny",
    )  # fmt: skip
    return model, history


class Killed(Exception):
    pass


def test_a_killed_run_resumes_and_ends_with_the_same_bytes(composer, tmp_path, monkeypatch):
    whole, history = run(composer, tmp_path / "whole")
    rate, steps = loop.learning_rate, []

    def killed_at_ten(step, params):
        steps.append(step)
        if step == 10:
            raise Killed
        return rate(step, params)

    monkeypatch.setattr(loop, "learning_rate", killed_at_ten)
    with pytest.raises(Killed):
        run(composer, tmp_path / "killed")
    monkeypatch.setattr(loop, "learning_rate", lambda s, p: steps.append(s) or rate(s, p))
    steps.clear()
    resumed, resumed_history = run(composer, tmp_path / "killed")
    assert steps == [9, 10, 11, 12]  # from the checkpoint at 8
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert resumed_history == history


def test_another_runs_checkpoint_is_not_taken_up(composer, tmp_path):
    short = replace(PARAMS, steps=6)
    run(composer, tmp_path, short)
    assert (tmp_path / "state.safetensors").exists()
    _, history = run(composer, tmp_path, short, fingerprint="other")
    assert [row["step"] for row in history.steps] == [2, 4, 6]


def test_the_loss_falls_and_the_step_log_has_the_timings(composer, tmp_path):
    longer = replace(PARAMS, steps=60, log_every=6, checkpoint_every=60)
    _, history = run(composer, tmp_path, longer)
    assert history.steps[-1]["loss"] < 0.7 * history.steps[0]["loss"]
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert {"loss", "ce", "ctc", "lr", "grad_norm", "ms", "wait_ms", "rtf"} <= rows[0].keys()
    assert all(row["ms"] >= row["wait_ms"] >= 0 for row in rows)
    assert not {"ms", "wait_ms", "rtf"} & history.steps[0].keys()


def test_every_parameter_learns(composer):
    model = tiny_model(composer)
    batch = composer.batch(composer.evaluation("digits", "dev", 4))
    losses(model, batch, PARAMS)["loss"].backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_learning_rate_warms_up_and_comes_to_zero():
    rates = [loop.learning_rate(step, PARAMS) for step in range(1, 13)]
    assert rates[3] == PARAMS.learning_rate == max(rates)
    assert rates[0] == PARAMS.learning_rate / 4
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_a_loss_that_is_not_finite_stops_the_run_with_a_cure(composer, tmp_path):
    model = tiny_model(composer)
    with torch.no_grad():
        model.decoder.ln.weight.fill_(float("nan"))
    finite = r"the loss is nan at step 1; lower learning_rate"
    with pytest.raises(UserError, match=finite) as raised:  # keeps the frames of the failed run
        run(composer, tmp_path, model=model)
    assert not [t for t in threading.enumerate() if t.name == "prefetch"], raised


def test_a_full_disk_at_a_checkpoint_is_one_line_and_leaves_nothing(
    composer, tmp_path, monkeypatch
):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"state\.safetensors: .*No space left.*free some space"):
        run(composer, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_intervals_that_do_not_fit_are_refused(composer, tmp_path):
    with pytest.raises(UserError, match="multiples of log_every"):
        run(composer, tmp_path, replace(PARAMS, checkpoint_every=3))


def test_focused_attention_reports_spans_temperature_and_gradient(composer, tmp_path):
    for mechanism, trained in (("focused", True), ("hybrid", True), ("hybrid_published", False)):
        torch.manual_seed(1)
        model = models.build(
            "echo", n_mels=8, n_audio_ctx=100, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
            n_vocab=composer.store.tokenizer.size, n_text_ctx=20, n_text_state=16, n_text_head=2,
            n_text_layer=1, conv_strides=(1, 2), focus_blocks=1, focus=mechanism,
        )  # fmt: skip
        short = replace(PARAMS, steps=4, dev_every=4, checkpoint_every=4, ctc=0.0)
        _, history = run(composer, tmp_path / mechanism, short, model)
        assert all(row["span"] > 0 and row["temperature"] > 0 for row in history.steps)
        assert all((row["predictor_grad_norm"] > 0) == trained for row in history.steps)
        parameters = sum(p.numel() for p in model.parameters())
        assert (history.trained == parameters) == trained
