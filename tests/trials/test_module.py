"""Trial module: what is taken over, what a short training changes, and what is written down."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from focused_attention import models
from focused_attention.corpora.manifest import normalise
from focused_attention.decoding.forced import token_losses
from focused_attention.errors import UserError
from focused_attention.params import Arm, load
from focused_attention.tasks.joined import Prompt
from focused_attention.trials import Subject, _adapting, features, given, module
from focused_attention.trials._knobs import knobs, new_weights
from focused_attention.trials.module import Cell, Module, Settings

ROOT = Path(__file__).parents[2]
VOCABULARY = 40
ARMS = {
    "plain": {},
    "hybrid": {"mechanism": "hybrid", "base": None},
    "local": {"mechanism": "local", "window_size": 4, "use_rotary_pos_emb": False},
    "learned": {"mechanism": "focused", "max_span": 8, "ramp": 2, "schedule": "learned"},
    "published": {"mechanism": "adaptive_span_published"},
}
SETTINGS = Settings(
    arms={name: [1] for name in ARMS},
    neutral={"plain": {}, "hybrid": {}, "local": {}, "learned": {"max_span": 10**6}},
    splits={"dev": 0.2, "test": 0.3}, lengths=[1.5, 3.0], recordings={"dev": 2, "test": 3},
    steps=2, batch=2, rate=1e-3, rates=[1e-3, 1e-2], quick=["hybrid"],
)  # fmt: skip


class Tokens:
    """A tokenizer of letters."""

    multilingual, no_timestamps, eot, sot = False, 1, 0, 2

    def prefix(self, language):
        assert language is None
        return [2]

    def encode(self, text):
        return [3 + ord(c) % 30 for c in text]

    def decode(self, tokens):
        return " ".join(f"w{token}" for token in tokens)


class Rules:
    """Anything may be written, but only a few tokens."""

    timestamps, no_speech, eot = True, 1, 0

    def apply(self, logits, written):
        if len(written[0]) < 5:
            return logits
        return torch.where(torch.arange(VOCABULARY) == self.eot, 0.0, -torch.inf).expand_as(logits)


@pytest.fixture
def whisper():
    torch.manual_seed(0)
    model = models.build(
        "whisper", n_mels=80, n_audio_ctx=1500, n_audio_state=16, n_audio_head=2, n_audio_layer=2,
        n_vocab=VOCABULARY, n_text_ctx=200, n_text_state=16, n_text_head=2, n_text_layer=1,
    ).eval()  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def made(whisper, monkeypatch):
    """Makes the trial of a small random Whisper with some settings changed."""
    rng = np.random.default_rng(0)
    pool = {
        f"p{i}": Prompt(
            key=f"p{i}", text=f"say number {i // 2}",  # every text twice
            samples=(0.1 * rng.standard_normal(8000 + 200 * i)).astype(np.float32),
        )
        for i in range(40)
    }  # fmt: skip
    monkeypatch.setattr(module, "speech", lambda settings: pool)
    monkeypatch.setattr(module, "WINDOW", 4.0)
    base = load(ROOT / "params.yaml")
    arms = {
        name: Arm(model="whisper", heads=2, encoder=row, checkpoint="tiny.en")
        for name, row in ARMS.items()
    }
    listener = SimpleNamespace(model=whisper, tokenizer=Tokens(), writing=Rules())

    def make(arms_too=(), **changes):
        params = dataclasses.replace(base, arms=arms | dict(arms_too))
        subject = Subject(name="tiny.en", listener=listener, params=params)
        return Module(subject, dataclasses.replace(SETTINGS, **changes))

    return make


def test_what_is_taken_over_is_the_untouched_model_where_it_should_be(made):
    trial = made()
    apart = {arm: trial.rows(Cell("neutral", arm, 1, 0.0))[0]["apart"] for arm in SETTINGS.neutral}
    assert apart["plain"] == 0.0
    assert apart["hybrid"] < 1e-4
    assert 0.0 < apart["learned"] < 1e-4
    assert apart["local"] > 1e-3  # a window of 4 to 8 positions is none


def test_prompts_and_texts_are_in_one_split_and_only_those_asked_for_are_heard(made, monkeypatch):
    trial, heard = made(), set()
    texts = {split: {normalise(p.text) for p in of.values()} for split, of in trial.split.items()}
    assert sum(map(len, texts.values())) == 20
    assert sum(map(len, trial.split.values())) == 40

    def listening(pool, joined, silence):
        heard.update(joined.prompts)
        return features(pool, joined, silence)

    monkeypatch.setattr(module, "features", listening)
    cell = Cell("adapted", "plain", 1, 1e-3)
    model = trial.taken_over(cell)
    for split, hear in (
        ("dev", lambda: trial.asked(model, "dev", "unpadded", 1.5)),
        ("test", lambda: trial.heard(model, written=False)),
        ("train", lambda: trial.adapt(model, cell)),
    ):
        heard.clear()
        hear()
        assert heard
        assert heard <= trial.split[split].keys()


def test_adapting_learns_a_text_and_leaves_the_source_and_the_embedding(made, whisper):
    before = {name: value.clone() for name, value in whisper.state_dict().items()}
    trial = made(steps=40, batch=2)
    found = {}
    for arm in ("plain", "hybrid"):
        cell = Cell("adapted", arm, 1, 1e-2)
        model = trial.taken_over(cell)
        ends = trial.adapt(model, cell)
        assert ends["last_loss"] < ends["first_loss"] - 0.5
        embedding = model.decoder.token_embedding.weight
        assert torch.equal(embedding, before["decoder.token_embedding.weight"])
        changed = model.encoder.blocks[0].attn.query.weight
        assert not torch.equal(changed, before["encoder.blocks.0.attn.query.weight"])
        found[arm] = ends["first_loss"]
        assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in whisper.state_dict().items())
    assert found["plain"] == pytest.approx(found["hybrid"], abs=0.3)  # the same batches


@pytest.mark.parametrize(("arm", "count", "moving"), [("hybrid", 6, 4), ("learned", 6, 6)])
def test_what_is_new_may_learn_quicker_and_nothing_else_does(made, whisper, arm, count, moving):
    trial, new, rest = made(steps=1), {}, {}
    for state in ("adapted", "quick"):
        cell = Cell(state, arm, 1, 1e-3)
        model = trial.taken_over(cell)
        before = [weight.clone() for weight in new_weights(model, whisper)]
        assert len(before) == count
        trial.adapt(model, cell)
        after = new_weights(model, whisper)
        new[state] = [(a - b).numpy() for a, b in zip(after, before, strict=True)]
        for weight in after:
            weight.zero_()
        rest[state] = [p.detach().clone() for p in model.parameters()]
    factor = trial.subject.params.train.learning_rate / 1e-3
    assert factor > 1.5
    for slow, quick in zip(new["adapted"], new["quick"], strict=True):
        assert quick == pytest.approx(factor * slow, rel=1e-3, abs=1e-6)
    # not the biases of the hybrid's predictors: its local half begins at zero, without gradient
    assert sum(np.abs(slow).max() > 0 for slow in new["adapted"]) == moving
    assert all(torch.equal(a, b) for a, b in zip(*rest.values(), strict=True))


def test_batches_are_those_of_the_seed_for_every_arm(made, monkeypatch):
    trial, seen = made(), []
    monkeypatch.setattr(
        module, "adapt", lambda model, batches, params, **more: seen.append(list(batches)) or [0.0]
    )
    for arm, seed in (("plain", 1), ("hybrid", 1), ("plain", 2)):
        trial.adapt(None, Cell("adapted", arm, seed, 1e-3))
    first, same, other = ([mel for mel, _, _ in batches] for batches in seen)
    assert [mel.shape for mel in first] == [(2, 80, 250)] * 2
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_loss_of_a_batch_is_that_of_its_tokens_one_by_one(made, whisper):
    trial = made()
    some = [joined for n in (1.5, 3.0) for joined in trial.dealt("test", n)[:1]]
    batch = [features(trial.pool, one, 4.0 - one.seconds) for one in some]
    texts = [given(trial.listener, one.text)[1] for one in some]
    assert len(texts[0]) != len(texts[1])
    losses = [
        token_losses(whisper.decoder, whisper.encoder(mel).audio, trial.prefix, text)
        for mel, text in zip(batch, texts, strict=True)
    ]
    tokens, targets = _adapting.taught(trial.prefix, texts)
    with torch.no_grad():
        found = _adapting.loss_of(whisper, torch.cat(batch), tokens, targets)
    assert found.item() == pytest.approx(torch.cat(losses).mean().item(), abs=1e-5)


def test_rows_are_alike_in_every_cell_and_measured_again_the_same(made):
    trial = made()
    cells = list(trial.cells())
    states = ["neutral"] * 4 + ["tried"] + ["adapted"] * 5 + ["untrained"] * 5
    states.append("quick")
    assert [c.state for c in cells] == states
    assert [c.rate for c in cells if c.state == "tried"] == [1e-2]
    rows = {cell: trial.rows(cell) for cell in cells}
    columns = {tuple(row) for of in rows.values() for row in of}
    assert {frozenset(names) for names in columns} == {frozenset(next(iter(columns)))}
    plain = rows[Cell("adapted", "plain", 1, 1e-3)]
    assert plain == made().rows(Cell("adapted", "plain", 1, 1e-3))
    heard = [(row["split"], row["condition"], row["length"]) for row in plain]
    ways = [("unpadded", 1.5), ("padded", 1.5), ("padded", 3.0), ("exchanged", 3.0)]
    assert heard == [("dev", "unpadded", 1.5), *(("test", *way) for way in ways)]
    assert [bool(row["words"]) for row in plain] == [False, False, False, True, False]
    (written,) = (row for row in plain if row["words"])
    assert written["tokens"] == "5 5 5"
    said = [len(normalise(one.text).split()) for one in trial.dealt("test", 3.0)]
    assert [int(n) for n in written["words"].split()] == said
    untouched = rows[Cell("untrained", "plain", 1, 0.0)]
    assert all(row["prompts"] for row in untouched)
    audio = trial.listener.model.encoder(features(trial.pool, trial.dealt("test", 1.5)[0], 1.0))
    text = given(trial.listener, trial.dealt("test", 1.5)[0].text)[1]
    loss = token_losses(trial.listener.model.decoder, audio.audio, trial.prefix, text).mean()
    assert float(untouched[0]["losses"].split()[0]) == pytest.approx(loss.item(), abs=1e-4)


def test_one_that_cannot_take_over_is_a_row_that_says_why(made):
    (row,) = made().rows(Cell("adapted", "published", 1, 1e-3))
    assert row["note"].startswith("not applicable: encoder.blocks.0.attn: AdaptiveSpanPublished")
    assert row["losses"] == ""
    assert row["recordings"] == 0


def test_knobs_are_those_that_were_set(made):
    trial = made()
    mels = [features(trial.pool, one, 1.0) for one in trial.dealt("test", 1.5)]
    assert knobs(trial.listener.model, mels) == {"spans": [], "temperatures": [], "local": []}
    model = trial.taken_over(Cell("untrained", "learned", 1, 0.0))
    with torch.no_grad():
        for layer in model.encoder.blocks:
            layer.attn.focus.level.copy_(torch.tensor([0.0, 2.0]).log1p())
            layer.attn.focus.predictor.weight.zero_()
            layer.attn.focus.predictor.bias.copy_(torch.tensor([0.0, 50.0]))
    found = knobs(model, mels)
    assert found["temperatures"] == pytest.approx([1.0, 3.0] * 2)
    assert found["spans"] == pytest.approx([4.0, 8.0] * 2)
    assert found["local"] == []
    hybrid = trial.taken_over(Cell("untrained", "hybrid", 1, 0.0))
    assert knobs(hybrid, mels)["local"] == [0.0, 0.0]
    with torch.no_grad():
        joined = hybrid.encoder.blocks[1].attn.out.weight
        joined[:, :16] = -0.5 * joined[:, 16:]
    assert knobs(hybrid, mels)["local"] == pytest.approx([0.0, 0.5])
    assert not hybrid.encoder.blocks[0].attn._forward_pre_hooks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.5}, "trials.module.rate: expected one of rates, given 0.5"),
        ({"splits": {"dev": 0.5, "test": 0.5}}, "trials.module.splits: expected dev and test"),
        ({"splits": {"dev": 0.0, "test": 0.3}}, "splits: no prompts are left for dev"),
        ({"neutral": {"hybird": {}}}, "trials.module.neutral or quick: hybird is not one of arms"),
        (
            {"arms": {"plain": []}, "neutral": {}, "quick": []},
            "trials.module.arms: expected one at least",
        ),
    ],
)
def test_settings_that_do_not_belong_together_are_one_line(made, changes, message):
    with pytest.raises(UserError) as error:
        made(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"checkpoint": ""}, "arms.odd: expected heads: 2 and start: openai/tiny.en, given 2 and"),
        ({"heads": 4}, "given 4 and tiny.en"),
        ({"encoder": {"mechanism": "hybrid", "spam": 1}}, "arms.odd: hybrid: unknown setting"),
    ],
)
def test_an_arm_of_another_model_is_one_line(made, row, message):
    odd = {"model": "whisper", "heads": 2, "checkpoint": "tiny.en"} | row
    trial = made({"odd": Arm(**odd)})
    with pytest.raises(UserError) as error:
        trial.rows(Cell("untrained", "odd", 1, 0.0))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_start_may_be_a_published_checkpoint_which_no_study_trains(tmp_path):
    params = load(ROOT / "params.yaml")
    assert params.arm("tiny-en-hybrid").checkpoint == "tiny.en"
    assert params.arm("tiny-en-hybrid").start == ""
    assert params.arm("echo").checkpoint == ""
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("arms: [echo]", "arms: [tiny-en]", 1))
    with pytest.raises(UserError, match=r"runs: tiny-en starts from a published checkpoint"):
        load(tmp_path / "params.yaml")
