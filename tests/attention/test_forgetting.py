"""Forget gates between positions, against a loop over them and against x-transformers."""

import math

import pytest
import torch
from torch.testing import assert_close
from x_transformers.x_transformers import DataDependentAlibi

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.published import turned
from tests.reference.rows import MASKS, inputs, seen_by

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "slow": {"start": 4.0, "base": 100.0},
}
USES = ["self", "causal"]


def layer(use="self", heads=2, spread=0.5, **settings):
    torch.manual_seed(0)
    module = attention.build(
        "forgetting", dims=8 * heads, heads=heads, causal=use == "causal", **settings
    )
    torch.nn.init.normal_(module.gate.weight, std=spread)  # 0.02 is too little to be tested
    return module


def by_loop(module, x, mask):
    """One query of one head at a time, with a product of all gates between it and a key."""
    (B, T, _), H, base = x.shape, module.heads, module.config.base
    parts = module.query, module.key, module.value
    q, k, v = (part(x).unflatten(-1, (H, -1)) for part in parts)
    if base is not None:
        q, k = (torch.stack([turned(item, base) for item in part]) for part in (q, k))
    gates = torch.sigmoid(module.gate(x)).unflatten(-1, (H, -1))  # behind, ahead
    if mask is not None:
        anyone = mask if mask.ndim == 2 else mask.any(dim=1)
        gates = torch.where(anyone[:, :, None, None], gates, 1.0)
    rows = []
    for b in range(B):
        for i in range(T):
            seen = seen_by(i, b, T, T, mask, module.is_causal)
            for h in range(H):
                if not seen:
                    rows.append(0 * v[b, 0, h])
                    continue
                between = [slice(min(i, j) + 1, max(i, j) + 1) for j in seen]
                left = [
                    gates[b, of, h, int(j > i)].prod() for j, of in zip(seen, between, strict=True)
                ]
                scores = k[b, seen, h] @ q[b, i, h] / math.sqrt(8) + torch.stack(left).log()
                rows.append(scores.softmax(dim=0) @ v[b, seen, h])
    return module.out(torch.stack(rows).view(B, T, -1))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("settings", [{}, {"start": 2.0, "base": 50.0}], ids=["plain", "rotated"])
def test_equals_the_loop(settings, masked, use):
    module = layer(use, **settings)
    x, _, mask = inputs(use, masked, 16)
    x = (x / 3).requires_grad_()
    leaves = {"x": x, **dict(module.named_parameters())}
    expected = by_loop(module, x, mask)
    assert_same(module(x, mask=mask).out, expected, leaves)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("use", USES)
def test_the_bias_is_that_of_x_transformers(use):
    module, x = layer(use, heads=4), torch.randn(2, 17, 32)
    peer = DataDependentAlibi(32, 4, causal=use == "causal")
    theirs = dict(peer.named_parameters())
    for name, own in module.gate.named_parameters():  # behind and ahead of a head, there of all
        ordered = own.unflatten(0, (4, -1)).transpose(0, 1).flatten(0, 1)
        theirs[f"to_forget_gates.0.{name}"].data.copy_(ordered)
    q, k, v = module.project(x, None)
    view = module.view(x, None, None, k, need_weights=True)
    expected = peer(x)
    if use == "causal":
        expected = expected.masked_fill(torch.ones(17, 17).triu(1) > 0, -torch.inf)
    weights = (q @ k[..., :8].mT / math.sqrt(8) + expected).softmax(dim=-1)
    assert_close(module.combine(q, k, v, view).weights, weights, **TOLERANCE)


def test_what_lies_before_a_closed_gate_is_forgotten_on_either_side():
    module, x = layer(heads=2, spread=0.0, start=50.0), torch.randn(1, 9, 16)
    x[..., 0] = 0
    x[0, 4, 0] = -1000.0
    module.gate.weight.data[:, 0] = 1.0
    torch.nn.init.zeros_(module.key.weight)
    weights = module(x, need_weights=True).weights[0]
    assert weights[:, 4:, :4].max() == 0
    assert weights[:, :4, 4:].max() == 0
    assert weights[:, :4, :4].min() > 0
    assert weights[:, 4:, 4:].min() > 0


@pytest.mark.parametrize("start", [-1.0, 0.0, 3.0])
def test_keys_alike_fade_by_a_gate_a_position(start):
    module = layer("causal", spread=0.0, start=start)
    torch.nn.init.zeros_(module.key.weight)
    weights = module(torch.randn(1, 30, 16), need_weights=True).weights[0, :, -1]
    fading = weights[:, :-1] / weights[:, 1:]
    assert_close(fading, torch.full_like(fading, 1 / (1 + math.exp(-start))))


def test_padding_on_the_left_is_as_good_as_on_the_right():
    module, x = layer("causal"), torch.randn(1, 12, 16)
    mask = torch.arange(12)[None] >= 5
    padded = module(torch.where(mask[..., None], x, 50.0), mask=mask).out[:, 5:]
    assert_close(padded, module(x[:, 5:]).out, **TOLERANCE)


@pytest.mark.parametrize("use", USES)
def test_a_frame_that_none_sees_forgets_nothing(use):
    module, x = layer(use), torch.randn(1, 12, 16)
    mask = torch.arange(12)[None] % 3 != 1
    loud = torch.where(mask[..., None], x, 50 * torch.randn(1, 12, 16))
    holed = module(loud, mask=mask).out[mask]
    assert_close(holed, module(x[mask][None]).out[0], **TOLERANCE)


def test_far_from_the_start_gates_are_as_exact_as_near():
    """In single precision, sums of some -20,000 leave 1e-3 of a difference."""
    module = layer(heads=1, spread=0.0, start=-3.0)
    torch.nn.init.zeros_(module.key.weight)
    view = module.view(torch.randn(1, 1, 8), None, None, torch.randn(1, 1, 7000, 9))
    sums = module.bias(torch.full((1, 1, 7000, 2), math.log(0.05)), view)
    assert_close(sums[0, 0, 0, -3:], math.log(0.05) * torch.tensor([2.0, 1.0, 0.0]))


def test_a_temperature_divides_scores_and_gates():
    module, x = layer(), torch.randn(1, 9, 16)
    one = module(x, need_weights=True).weights
    module.temperature = torch.tensor([0.5, 2.0])
    powers = one ** torch.tensor([2.0, 0.5])[:, None, None]
    expected = powers / powers.sum(dim=-1, keepdim=True)
    assert_close(module(x, need_weights=True).weights, expected, **TOLERANCE)


def test_an_encoder_has_gates_for_both_sides_and_all_start_at_one_half():
    for use, count in (("causal", 4), ("self", 8)):
        module = attention.build("forgetting", dims=64, heads=4, causal=use == "causal")
        assert module.gate.weight.shape == (count, 64)
        assert module.gate.weight.std().item() == pytest.approx(0.02, rel=0.2)
        assert module.gate.bias.abs().max() == 0
