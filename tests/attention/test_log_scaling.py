"""Scores that grow with the logarithm of the keys seen, against a loop over rows."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.metrics.sharpness import entropy
from tests.reference.rows import MASKS, USES, assert_is_rows

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "rotary": {"train_length": 7, "base": 100.0},
}


def layer(use="self", name="log_scaling", dims=16, **settings):
    torch.manual_seed(0)
    place = {"dims": dims, "heads": 2, "causal": use == "causal", "cross": use == "cross"}
    return attention.build(name, **place, **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("train_length", [1, 7, 300])
def test_equals_the_loop(train_length, masked, use):
    def row(h, i, q, keys, values):
        ratio = math.log(max(2, len(keys))) / math.log(max(2, train_length))
        return (keys @ q * math.sqrt(ratio / len(q))).softmax(dim=0) @ values

    assert_is_rows(layer(use, train_length=train_length), row, use, masked)


@pytest.mark.parametrize("use", ["self", "cross"])
def test_at_the_length_of_training_it_is_plain_attention_to_the_bit(use):
    plain = layer(use, "whisper")
    module = layer(use, train_length=40).adopt(plain)
    assert module.state_dict().keys() == plain.state_dict().keys()  # training-free
    x, xa = torch.randn(2, 40, 16), torch.randn(2, 40, 16) if use == "cross" else None
    assert torch.equal(module(x, xa).out, plain(x, xa).out)
    longer = torch.cat((x if xa is None else xa,) * 2, dim=1)
    x, xa = (longer, None) if xa is None else (x, longer)
    assert not torch.allclose(module(x, xa).out, plain(x, xa).out, atol=1e-3)


def test_the_share_of_the_largest_entropy_is_what_it_was_at_the_length_of_training():
    """Of normal scores: 1 - 1 / (2 log n_train) at every n."""
    shares = {}
    for name, settings in (("whisper", {}), ("log_scaling", {"train_length": 64})):
        module = layer("cross", name, dims=64, **settings)
        for projection in (module.query, module.key):
            torch.nn.init.eye_(projection.weight)
        torch.nn.init.zeros_(module.query.bias)
        for n in (64, 2048):
            x, xa = torch.randn(1, 60, 64), torch.randn(1, n, 64)
            rows = module(x, xa, need_weights=True).weights
            shares[name, n] = (entropy(rows) / math.log(n)).mean().item()
    expected = 1 - 1 / (2 * math.log(64))
    assert shares["log_scaling", 64] == shares["whisper", 64] == pytest.approx(expected, abs=0.01)
    assert shares["log_scaling", 2048] == pytest.approx(expected, abs=0.02)
    assert shares["whisper", 2048] > expected + 0.04


def test_fewer_than_two_keys_count_as_two():
    scale = layer(train_length=4).scale(torch.tensor([0.0, 1.0, 2.0, 16.0]))
    assert_close(scale.square(), torch.tensor([0.5, 0.5, 0.5, 2.0]))
    weights = layer("causal")(torch.randn(1, 3, 16), need_weights=True).weights
    assert_close(weights[0, :, 0], torch.tensor([[1.0, 0.0, 0.0]] * 2))


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match="train_length: expected a positive number, given 0"):
        layer(train_length=0)
