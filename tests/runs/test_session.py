"""A session: what decides its weights, which sources made its numbers, where its batches lie."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from focused_attention.params import load
from focused_attention.runs.arm import of_study, resolve
from focused_attention.runs.session import Session
from focused_attention.tasks.batches import bucketed

ROOT = Path(__file__).parents[2]
STUDIES = ("train", "seek")


def session(study, arm, seed, params=None, hardware="cpu", composer=None):
    """Without data or model, of which nothing here asks."""
    params = params or load(ROOT / "params.yaml")
    resolved = of_study(resolve(params, arm), getattr(params, study))
    return Session(
        study=study, params=params, arm=resolved, seed=seed, composer=composer,
        hardware=torch.device(hardware), model=None,
    )  # fmt: skip


def test_the_committed_runs_are_those_of_the_committed_parameters():
    params = load(ROOT / "params.yaml")
    for study in STUDIES:
        files = [*(ROOT / "results" / params.profile / study).glob("*.json")]
        assert files
        for path in files:
            kept = json.loads(path.read_text())
            ours = session(study, kept["arm"], kept["seed"], params)
            assert ours.fingerprint == kept["fingerprint"], path


def test_precision_and_arithmetic_are_part_of_what_decides_the_weights():
    read = load(ROOT / "params.yaml")
    plain, canonical = (
        replace(read, train=replace(read.train, arithmetic=kind))
        for kind in ("native", "canonical")
    )
    cpu, gpu = (session("train", "echo", 1, plain, kind) for kind in ("cpu", "cuda"))
    assert gpu.settings() == cpu.settings() | {"precision": "bfloat16"}
    fixed = session("train", "echo", 1, canonical)
    assert len({cpu.fingerprint, gpu.fingerprint, fixed.fingerprint}) == 3


def test_a_study_does_not_depend_on_the_other_ones_ctc():
    params = load(ROOT / "params.yaml")
    without = replace(params, train=replace(params.train, ctc=0.0))
    assert session("seek", "echo", 4, without).settings() == session("seek", "echo", 4).settings()
    assert session("train", "echo", 1, without).arm["sizes"]["ctc"] is False


def test_arms_and_stages_have_revisions_of_their_own():
    plain, local = session("train", "echo", 1), session("train", "echo-local", 1)
    assert plain.revision("train") != local.revision("train")
    assert plain.revision("train") != plain.revision("evaluate")
    assert plain.provenance("test", "evaluate")["revision"] == plain.revision("evaluate")
    assert plain.revision("train") == session("train", "echo", 2).revision("train")


def test_batches_are_the_buckets_in_their_order_and_lie_where_they_are_asked(composer):
    work = session("train", "echo", 1, composer=composer, hardware="meta")
    utterances = composer.evaluation("digits", "dev", 6)
    groups = bucketed(utterances, 2.0 / composer.frame)
    assert len(groups) > 1
    moved = list(work.batches(utterances, 2.0))
    here = list(work.batches(utterances, 2.0, torch.device("cpu")))
    assert [b.utterances for b in moved] == [b.utterances for b in here] == groups
    for batch, group in zip(here, groups, strict=True):
        assert torch.equal(batch.features, composer.batch(group).features)
    for name in ("features", "frames", "tokens", "targets", "text", "text_lengths"):
        assert all(getattr(batch, name).device.type == "meta" for batch in moved)
