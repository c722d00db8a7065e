"""The entropy regulariser against scipy, against finite differences, and on a model that trains."""

import json
from dataclasses import replace

import pytest
import torch
from scipy.stats import entropy as scipy_entropy

from focused_attention import regularisers
from focused_attention.errors import UserError
from focused_attention.regularisers.base import Attention, shown
from focused_attention.regularisers.entropy import mean_entropy
from focused_attention.training.loop import train
from focused_attention.training.objective import losses
from tests.training.test_loop import PARAMS, tiny_model

SLOTS = ("encoder", "decoder", "cross")


@pytest.fixture
def batch(composer):
    """Utterances of several lengths, so that there is padding in both sequences."""
    some = composer.evaluation("digits", "dev", 4)
    assert len({u.frames for u in some}) > 1
    return composer.batch(some)


def attended(model, batch, slot):
    """Every row that counts as scipy takes it: the weights over its visible keys, by layer."""
    output = model(batch.features, batch.tokens, batch.frames, need_weights=True)
    speech = model.encoder.positions(batch.frames)
    layers = {
        "encoder": output.encoder_weights, "decoder": output.decoder_weights,
        "cross": output.weights,
    }[slot]  # fmt: skip
    for weights in layers:
        rows = []
        for b, item in enumerate(weights.detach()):
            asked = (batch.targets[b] != -100).nonzero().flatten().tolist()
            for head in item:
                for i in range(int(speech[b])) if slot == "encoder" else asked:
                    rows.append(head[i, : i + 1 if slot == "decoder" else int(speech[b])])
        yield [row.numpy() for row in rows]


@pytest.mark.parametrize("slot", SLOTS)
def test_the_value_is_scipys_over_the_visible_keys_of_the_rows_that_count(composer, batch, slot):
    model = tiny_model(composer)
    means = [
        sum(scipy_entropy(row) for row in rows) / len(rows)
        for rows in attended(model, batch, slot)
    ]  # fmt: skip
    (regulariser,) = regularisers.build({"entropy": {"weight": 0.3, "slot": slot}})
    with torch.no_grad():
        parts = regulariser.wrap(losses)(model, batch, PARAMS)
        plain = losses(model, batch, PARAMS)
    assert float(parts["entropy"]) == pytest.approx(sum(means) / len(means), rel=1e-4)
    assert float(parts["loss"]) == pytest.approx(
        float(plain["loss"]) - 0.3 * float(parts["entropy"]), rel=1e-5
    )


def test_keys_that_a_row_may_not_see_and_rows_of_padding_count_for_nothing():
    visible = torch.tensor([[1, 1, 0], [1, 1, 1]], dtype=torch.bool)[:, None, None]
    rows = torch.tensor([[1, 0], [1, 1]], dtype=torch.bool)
    weights = torch.tensor([[[[0.5, 0.5, 9.0], [1.0, 0.0, 0.0]]], [[[1.0, 0.0, 0.0], [0.2] * 3]]])
    found = mean_entropy(Attention(weights, visible, rows))
    expected = (scipy_entropy([1, 1]) + scipy_entropy([1, 0, 0]) + scipy_entropy([1, 1, 1])) / 3
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_the_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    visible = (torch.arange(5) < torch.tensor([[5], [3]]))[:, None, None]
    rows = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)

    def value(scores):
        weights = scores.masked_fill(~visible, -torch.inf).softmax(dim=-1)
        return mean_entropy(Attention(weights, visible, rows))

    scores = torch.randn(2, 2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(value, (scores,))


def test_a_row_that_underflows_to_one_key_has_a_finite_gradient():
    scores = torch.tensor([[[[0.0, 200.0, -200.0]]]], requires_grad=True)
    seen = torch.ones(1, 1, 1, 3, dtype=torch.bool)
    weights = scores.softmax(dim=-1)
    assert weights.detach().flatten().tolist() == [0.0, 1.0, 0.0]
    mean_entropy(Attention(weights, seen, seen[0, 0, :, :1])).backward()
    assert scores.grad.tolist() == [[[[0.0, 0.0, 0.0]]]]


@pytest.mark.parametrize("slot", SLOTS)
def test_a_positive_weight_raises_the_entropy_and_a_negative_one_lowers_it(
    composer, tmp_path, slot
):
    last = {}
    for weight in (5.0, -5.0):
        model = tiny_model(composer)
        params = replace(PARAMS, steps=50, checkpoint_every=50, learning_rate=2e-2)
        named = regularisers.build({"entropy": {"weight": weight, "slot": slot}})
        history = train(
            model, composer, params, plans=composer.training(params.mixture, 6.0, 1), dev={},
            assess=None, hardware=torch.device("cpu"), path=tmp_path / "state", fingerprint="",
            log=tmp_path / "log", label="", objective=regularisers.wrapped(losses, named),
        )  # fmt: skip
        rows = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        assert all({"ce", "ctc", "entropy"} <= row.keys() for row in rows)
        last[weight] = history.steps[-1]["entropy"]
    assert last[5.0] > last[-5.0] + 0.3


def test_a_slot_without_weights_to_show_is_refused_by_name(composer, batch):
    model = tiny_model(composer)
    hidden = model.encoder.register_forward_hook(  # as a mechanism that has none to show
        lambda _, __, output: output._replace(weights=[None] * len(output.weights))
    )
    (regulariser,) = regularisers.build({"entropy": {"slot": "encoder"}})
    with pytest.raises(UserError, match="slot 'encoder' has weights to show; name another"):
        regulariser.wrap(losses)(model, batch, PARAMS)
    hidden.remove()
    assert not model.encoder._forward_hooks
    assert not model.encoder._forward_pre_hooks


def test_the_other_part_of_the_model_is_not_asked_for_weights(composer, batch):
    model, asked = tiny_model(composer), []
    model.encoder.register_forward_hook(lambda _, __, output: asked.append(output.weights))
    with shown(model, batch, "cross") as layers:
        losses(model, batch, PARAMS)
    assert (asked, len(layers)) == ([None], 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slot": "focus"}, "slot: unknown 'focus'; choose encoder, decoder, cross"),
        ({"weight": "much"}, "weight: expected a number, given 'much'"),
        ({"wieght": 1.0}, "unknown setting 'wieght'; it takes weight, slot"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"entropy: {message}"):
        regularisers.build({"entropy": settings})
