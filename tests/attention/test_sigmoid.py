"""Sigmoid attention, against a loop over rows and against x-transformers."""

import math

import pytest
import torch
from torch.testing import assert_close
from x_transformers.attend import Attend

from focused_attention import attention
from tests.reference.compare import TOLERANCE
from tests.reference.rows import MASKS, USES, assert_is_rows, inputs

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "normalised": {"normalise": True},
    "less log n": {"less_log_n": True, "base": 100.0},
}

ALL = [{}, {"normalise": True}, {"less_log_n": True}, {"normalise": True, "less_log_n": True}]


def layer(use="self", name="sigmoid", **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    return attention.build(name, dims=16, heads=2, **place, **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("settings", ALL, ids=lambda s: " ".join(s) or "plain")
def test_equals_the_loop(settings, masked, use):
    def row(h, i, q, keys, values):
        scores = keys @ q / math.sqrt(len(q))
        if "less_log_n" in settings:
            scores = scores - math.log(len(keys))
        weights = 1 / (1 + (-scores).exp())
        if "normalise" in settings:
            weights = weights / (weights.sum() + 1e-8)
        return weights @ values

    assert_is_rows(layer(use, **settings), row, use, masked)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys"])
def test_equals_x_transformers(masked, use):
    module = layer(use)
    x, xa, mask = inputs(use, masked, 16)
    q, k, v = module.project(x, xa)
    theirs, _ = Attend(sigmoid=True, causal=use == "causal")(q, k, v, mask)
    ours = module.combine(q, k, v, module.view(x, xa, mask, k)).out
    assert_close(ours, theirs, **TOLERANCE)


def test_a_key_is_weighed_alone():
    """What others score changes nothing, so there is nothing left over that a sink could take."""
    x, xa = torch.randn(1, 4, 16), torch.randn(1, 9, 16)
    for settings, alone in (({}, True), ({"normalise": True}, False)):
        module = layer("cross", **settings)
        all_, some = (module(x, xa[:, :n], need_weights=True).weights for n in (9, 5))
        assert torch.allclose(all_[..., :5], some, atol=1e-6) == alone


def test_rows_sum_to_half_of_their_keys_or_to_one():
    x = torch.zeros(1, 50, 16)
    for settings, total in (
        ({}, 25.0),
        ({"normalise": True}, 1.0),
        ({"less_log_n": True}, 50 / 51),
    ):
        rows = layer(**settings)(x, need_weights=True).weights.sum(dim=-1)
        assert_close(rows, torch.full((1, 2, 50), total))


def test_less_log_n_a_layer_starts_near_the_plain_attention_it_adopts():
    plain, x = layer(name="whisper"), torch.randn(2, 200, 16)
    expected = plain(x).out
    near, far = (
        (layer(**settings).adopt(plain)(x).out - expected).norm() / expected.norm()
        for settings in ({"less_log_n": True}, {})
    )
    assert near < 0.1
    assert far > 10
