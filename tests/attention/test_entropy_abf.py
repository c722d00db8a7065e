"""Entropy-ABF against a loop over rows, and where its scale is one."""

import math

import pytest
import torch

from focused_attention import attention
from tests.reference.rows import MASKS, USES, assert_is_rows

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "scaled": {"train_length": 5, "plain_layers": 0, "base": 50.0},
}


def layer(use="self", name="entropy_abf", layer=2, **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross", "layer": layer, "depth": 4}
    return attention.build(name, dims=16, heads=2, **place, **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("base", [50.0, 500000.0])
def test_equals_the_loop(base, masked, use):
    def row(h, i, q, keys, values):
        scale = max(1.0, math.log(len(keys)) / math.log(6))
        return (scale * (keys @ q) / math.sqrt(len(q))).softmax(dim=0) @ values

    assert_is_rows(layer(use, base=base, train_length=6), row, use, masked, base)


def test_the_defaults_are_those_of_the_source():
    config = layer().config
    assert (config.base, config.train_length, config.plain_layers) == (500000.0, 4096, 2)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_first_two_layers_only_rotate(place):
    rotary = layer("self", "rotary", place, base=500000.0)
    module = layer("self", layer=place, train_length=6).adopt(rotary)
    x = 3 * torch.randn(2, 13, 16)
    assert torch.equal(module(x).out, rotary(x).out) == (place < 2)


def test_rows_no_longer_than_in_training_stay_and_longer_ones_are_sharper():
    rotary = layer("causal", "rotary", base=500000.0)
    module = layer("causal", train_length=6).adopt(rotary)
    x = 3 * torch.randn(1, 13, 16)
    ours, theirs = (m(x, need_weights=True).weights for m in (module, rotary))
    same = [torch.equal(ours[:, :, i], theirs[:, :, i]) for i in range(13)]
    assert same == [True] * 6 + [False] * 7
    assert (ours[:, :, 6:].amax(dim=-1) > theirs[:, :, 6:].amax(dim=-1)).all()


def test_other_sequences_share_no_positions():
    module = layer("cross", train_length=6)
    x, xa = torch.randn(1, 5, 16), torch.randn(1, 13, 16)
    order = torch.randperm(13)
    torch.testing.assert_close(module(x, xa[:, order]).out, module(x, xa).out)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_length": 1}, r"train_length: expected more than one key, given 1"),
        ({"plain_layers": -1}, r"plain_layers: expected zero or more, given -1"),
        ({"base": 0.0}, r"base: expected a positive number, given 0.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
