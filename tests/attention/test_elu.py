"""Attention by elu + 1, against a loop over rows and against x-transformers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from x_transformers.attend import Attend

from focused_attention import attention
from focused_attention.attention.softmax.elu import elu_plus_one
from tests.reference.compare import TOLERANCE
from tests.reference.rows import MASKS, USES, assert_is_rows, inputs

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "normalised": {"normalise": True, "base": 100.0},
}


def layer(use="self", **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    return attention.build("elu", dims=16, heads=2, **place, **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("normalise", [False, True])
def test_equals_the_loop(normalise, masked, use):
    def row(h, i, q, keys, values):
        scores = keys @ q / math.sqrt(len(q))
        weights = torch.stack([s + 1 if s > 0 else s.exp() for s in scores])
        if normalise:
            weights = weights / (weights.sum() + 1e-8)
        return weights @ values

    assert_is_rows(layer(use, normalise=normalise), row, use, masked)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys"])
def test_equals_x_transformers(masked, use):
    module = layer(use)
    x, xa, mask = inputs(use, masked, 16)
    q, k, v = module.project(x, xa)
    elu = Attend(custom_attn_fn=lambda scores: F.elu(scores) + 1, causal=use == "causal")
    ours = module.combine(q, k, v, module.view(x, xa, mask, k)).out
    assert_close(ours, elu(q, k, v, mask)[0], **TOLERANCE)


def test_far_below_zero_the_digits_stay():
    x = torch.tensor([-40.0, -20.0, -1.0, 0.0, 3.0, 100.0], requires_grad=True)
    y = elu_plus_one(x)
    assert_close(
        y, F.elu(x.double()).add(1).where(x > 0, x.double().exp()).float(), rtol=1e-6, atol=0
    )
    assert (F.elu(x) + 1)[0] == 0 < y[0]
    y.sum().backward()
    assert_close(x.grad, torch.tensor([math.exp(-40), math.exp(-20), math.exp(-1), 1.0, 1.0, 1.0]))


def test_no_key_takes_nearly_all():
    """Doubling scores doubles what the best key weighs, where softmax squares it."""
    weights = [elu_plus_one(torch.tensor([scale, 0.0])) for scale in (10.0, 20.0)]
    odds = [(pair[0] / pair[1]).item() for pair in weights]
    assert odds == [11.0, 21.0]


def test_rows_sum_to_one_where_they_are_normalised():
    x = 3 * torch.randn(1, 30, 16)
    sums = [layer(normalise=n)(x, need_weights=True).weights.sum(dim=-1) for n in (False, True)]
    assert (sums[0] > 5).all()
    assert_close(sums[1], torch.ones(1, 2, 30))
