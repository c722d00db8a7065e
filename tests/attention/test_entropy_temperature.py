"""Learned temperatures and the entropy threshold, against loops over rows."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.metrics.sharpness import entropy
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.rows import MASKS, USES, assert_is_rows, inputs, seen_by

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "positions": {"positions": 9, "start": 0.5, "weight": 1.0},
    "rotated": {"base": 100.0},
}


def layer(use="self", depth=1, **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross", "depth": depth}
    module = attention.build("entropy_temperature", dims=16, heads=2, **place, **settings)
    with torch.no_grad():
        module.level += torch.randn(module.level.shape) / 2
    return module


def temperature(module, use, h, i):
    last = module.config.positions - 1
    return module.level[h, last if use == "cross" else min(i, last)].exp()


def assert_is_loop(module, use, masked):
    def row(h, i, q, keys, values):
        t = temperature(module, use, h, i)
        return (keys @ q / (t * math.sqrt(len(q)))).softmax(dim=0) @ values

    assert_is_rows(module, row, use, masked, module.base)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("settings", [{}, {"positions": 6}, {"base": 100.0}], ids=str)
def test_equals_the_loop(settings, weight, masked, use):
    assert_is_loop(layer(use, weight=weight, **settings), use, masked)


@pytest.mark.parametrize("start", [0.1, 0.01])
def test_as_sharp_as_it_is_published_it_equals_the_loop_in_double_precision(start):
    assert_is_loop(layer("causal", positions=512, start=start).double(), "causal", "keys")


def loss_by_loop(module, use, x, xa, mask):
    """Algorithm 1, item by item and head by head, over the queries that count."""
    source = x if xa is None else xa
    (B, T, _), S, H = x.shape, source.shape[1], module.heads
    q, k = module.query(x).unflatten(-1, (H, -1)), module.key(source).unflatten(-1, (H, -1))
    total = torch.zeros(())
    for b in range(B):
        for h in range(H):
            entropies, largest = [], []
            for i in range(T):
                seen = seen_by(i, b, T, S, mask, module.is_causal)
                padding = use != "cross" and mask is not None and mask.ndim == 2 and not mask[b, i]
                if not seen or padding:
                    continue
                t = temperature(module, use, h, i)
                p = (k[b, seen, h] @ q[b, i, h] / (t * math.sqrt(q.shape[-1]))).softmax(dim=0)
                entropies.append(-(p * p.log()).sum())
                largest.append(math.log(len(seen)))
            e_max = sum(largest) / len(largest)
            deviation = sum(entropies) / len(entropies) - module.theta[h] * e_max
            if abs(deviation) > module.config.margin * e_max:
                total = total + deviation**2
    return module.config.weight * total / (B * H)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_the_loss_equals_the_loop(margin, masked, use):
    module = layer(use, positions=3, weight=2.0, margin=margin, threshold=0.3)
    x, xa, mask = inputs(use, masked, 16)
    x.requires_grad_()
    loss = module(x, xa, mask).losses["entropy"]
    expected = loss_by_loop(module, use, x, xa, mask)
    assert expected > 0.05
    names = ("query.weight", "key.weight", "level", "theta")
    leaves = {"x": x} | {name: module.get_parameter(name) for name in names}
    assert_same(loss, expected, leaves)


def released(entropies, theta, margin):
    """As the released code has it, without λ: the threshold for every row, a sum over them."""
    (_, H, T), total = entropies.shape, 0.0
    largest = math.log(T)
    for h in range(H):
        for e in entropies[:, h].flatten().tolist():
            deviation = e - theta * largest
            total += deviation**2 if abs(deviation) > margin * largest else 0.0
    return total / H


def test_rows_that_average_out_are_penalised_by_the_released_code_alone():
    module, x = layer(weight=1.0), torch.zeros(3, 8, 16)
    view = module.view(x, None, None, torch.zeros(3, 2, 8, 8))
    sharp_and_flat = torch.tensor([0.0, math.log(8)]).repeat(3, 2, 4)
    assert module.penalty(sharp_and_flat, view, None).item() == 0  # Ē = θ Eₘₐₓ
    every_row = 3 * 8 * (math.log(8) / 2) ** 2
    assert released(sharp_and_flat, 0.5, 0.2) == pytest.approx(every_row)
    flat = torch.full((3, 2, 8), math.log(8))  # where rows agree, it is B T times as large
    ours = module.penalty(flat, view, None).item()
    assert released(flat, 0.5, 0.2) == pytest.approx(3 * 8 * ours)


def test_there_is_a_loss_in_training_alone():
    x = torch.randn(1, 9, 16)
    module = layer(weight=1.0)
    whole = module(x).losses["entropy"]
    assert_close(layer(weight=1.0, depth=4)(x).losses["entropy"], whole / 4)  # a mean over layers
    assert not module(x, state=module.new_state()).losses
    assert not module.eval()(x).losses
    assert not layer(weight=0.0)(x).losses
    assert layer(weight=0.0).state_dict().keys() - module.state_dict().keys() == set()


def test_inside_the_margin_nothing_is_penalised():
    x = torch.zeros(1, 9, 16)  # uniform rows, of the largest entropy
    for threshold, penalised in ((0.79, True), (0.81, False), (1.19, False), (1.21, True)):
        module = layer(weight=1.0, threshold=threshold)
        module.zero_grad()
        loss = module(x).losses["entropy"]
        loss.backward()
        assert (loss > 0) == penalised == bool(module.theta.grad.any()), threshold


def test_a_head_with_a_lower_temperature_is_sharper_and_each_learns_its_own():
    module = layer(weight=0.0)
    module.level.data = torch.tensor([[0.1], [10.0]]).log()
    out, weights, _ = module(3 * torch.randn(2, 30, 16), need_weights=True)
    first, second = entropy(weights).mean(dim=(0, 2))
    assert first < second - 1
    out.square().mean().backward()
    assert (module.level.grad != 0).all()


def test_later_queries_share_the_last_temperature():
    module, one = layer(positions=4, weight=0.0), layer(weight=0.0)
    module.level.data[:, -1:] = one.level.data
    one.load_state_dict(module.state_dict() | {"level": one.level.data})
    x = torch.randn(2, 9, 16)
    ours, theirs = module(x).out, one(x).out
    assert_close(ours[:, 3:], theirs[:, 3:], **TOLERANCE)
    assert not torch.allclose(ours[:, :3], theirs[:, :3], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": 0.0}, r"start: expected a positive number, given 0.0"),
        ({"positions": 0}, r"positions: expected a positive number, given 0"),
        ({"weight": -1.0}, r"weight: expected zero or more, given -1.0"),
        ({"margin": -0.1}, r"margin: expected zero or more, given -0.1"),
        ({"threshold": -0.1}, r"threshold: expected zero or more, given -0.1"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
