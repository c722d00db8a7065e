"""Attention by position alone, against a loop whose encodings are taken from the formula."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.models.whisper import sinusoids
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.derived import by_loop

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "shorter waves": {"max_timescale": 50.0},
}

USES = ["self", "causal", "cross"]
D = 16


def layer(use="self", seed=0, **settings):
    torch.manual_seed(seed)
    return attention.build(
        "positional", dims=D, heads=2, causal=use == "causal", cross=use == "cross", **settings
    )


def encodings(B, count, timescale=10000.0):
    """One number at a time: sine or cosine of the position over a wavelength."""
    table = torch.empty(count, D)
    for position in range(count):
        for i in range(D // 2):
            angle = position / timescale ** (i / (D // 2 - 1))
            table[position, i] = math.sin(angle)
            table[position, D // 2 + i] = math.cos(angle)
    return table.expand(B, count, D)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("timescale", [10000.0, 50.0])
def test_equals_the_loop(timescale, masked, use):
    module = layer(use, max_timescale=timescale)
    T, S = (5, 9) if use == "cross" else (9, 9)
    x = torch.randn(2, T, D, requires_grad=True)
    xa = torch.randn(2, S, D, requires_grad=True) if use == "cross" else None
    keys = torch.arange(S) < torch.tensor([S, 4])[:, None]
    pairs = ((torch.rand(2, T, S) < 0.7) | (torch.arange(S) == 0)) & keys[:, None]
    mask = {"none": None, "keys": keys, "pairs": pairs}[masked]
    places = encodings(2, S, timescale)
    asking, source = (places, x) if xa is None else (x, xa)
    expected = by_loop(module, asking, places, source, mask)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("use", ["self", "causal"])
def test_what_is_heard_moves_no_weight_and_where_it_is_heard_does(use):
    module = layer(use)
    weights = module(torch.randn(2, 9, D), need_weights=True).weights
    assert_close(weights[0], weights[1])
    assert_close(module(3 * torch.randn(1, 9, D), need_weights=True).weights, weights[:1])
    assert weights.diff(dim=2).abs().amax() > 1e-3
    x = torch.randn(1, 9, D)  # linear in the values, as fixed weights are
    out = [module(scale * x).out for scale in (0.0, 1.0, 5.0)]
    assert_close(out[2] - out[0], 5 * (out[1] - out[0]), **TOLERANCE)


def test_in_cross_attention_the_text_chooses_a_place_of_the_audio_whatever_is_there():
    module, x = layer("cross"), torch.randn(1, 5, D)
    weights = [module(x, torch.randn(1, 9, D), need_weights=True).weights for _ in range(2)]
    assert_close(weights[0], weights[1])
    assert weights[0].diff(dim=2).abs().amax() > 1e-3


def test_its_encodings_are_those_of_whisper():
    module = layer()
    given = module.places(0, 30, torch.empty(0))
    assert_close(given, sinusoids(30, D), rtol=0, atol=1e-5)
    assert torch.equal(module.places(7, 5, torch.empty(0)), given[7:12])
    odd = attention.build("positional", dims=3, heads=1)
    assert odd.places(0, 4, torch.empty(0)).shape == (4, 3)


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"max_timescale: expected a positive number, given 0"):
        layer(max_timescale=0)
