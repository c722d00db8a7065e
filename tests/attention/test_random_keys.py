"""Attention with queries and keys of noise, against a loop."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.softmax.random_keys import BLOCK
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.derived import by_loop

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "rotated": {"sigma": 0.5, "seed": 3, "base": 100.0},
}

USES = ["self", "causal", "cross"]
D = 16
NONE = torch.empty(0)


def layer(use="self", seed=0, **settings):
    torch.manual_seed(seed)
    return attention.build(
        "random_keys", dims=D, heads=2, causal=use == "causal", cross=use == "cross", **settings
    )


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
def test_equals_the_loop(masked, use):
    module = layer(use, sigma=1.5)
    T, S = (5, 9) if use == "cross" else (9, 9)
    x = torch.randn(2, T, D, requires_grad=True)
    xa = torch.randn(2, S, D, requires_grad=True) if use == "cross" else None
    keys = torch.arange(S) < torch.tensor([S, 4])[:, None]
    pairs = ((torch.rand(2, T, S) < 0.7) | (torch.arange(S) == 0)) & keys[:, None]
    mask = {"none": None, "keys": keys, "pairs": pairs}[masked]
    drawn = torch.randn(BLOCK, D, generator=torch.Generator().manual_seed(0))
    noise = 1.5 * drawn[:S].expand(2, S, D)
    asking, source = (noise, x) if xa is None else (x, xa)
    expected = by_loop(module, asking, noise, source, mask)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


def test_rotated_it_is_rotary_attention_to_noise():
    rotary = attention.build("rotary", dims=D, heads=2, base=100.0)
    module = layer(base=100.0).adopt(rotary)
    weights = rotary(module.places(0, 9, NONE)[None], need_weights=True).weights
    assert_close(module(torch.randn(1, 9, D), need_weights=True).weights, weights)


def test_no_input_moves_a_weight_and_another_position_does():
    module = layer()
    weights = module(torch.randn(2, 9, D), need_weights=True).weights
    assert_close(weights[0], weights[1])
    assert weights.diff(dim=2).abs().amax() > 1e-3
    x = torch.randn(1, 9, D)  # linear in the values, as fixed weights are
    out = [module(scale * x).out for scale in (0.0, 1.0, 5.0)]
    assert_close(out[2] - out[0], 5 * (out[1] - out[0]), **TOLERANCE)


def test_a_longer_sequence_begins_as_a_shorter_one_and_the_noise_is_normal():
    module = layer(sigma=2.0)
    long = module.places(0, BLOCK + 9, NONE)
    assert torch.equal(module.places(0, 7, NONE), long[:7])
    assert torch.equal(module.places(BLOCK - 3, 7, NONE), long[BLOCK - 3 : BLOCK + 4])
    assert long.std().item() == pytest.approx(2.0, rel=0.03)
    assert long.mean().item() == pytest.approx(0.0, abs=0.05)
    assert not torch.equal(long[:9], long[BLOCK:])


def test_layers_share_the_noise_of_a_seed_and_save_none():
    first, second, other = layer(seed=1), layer(seed=2), layer(seed=1, **{"sigma": 1.0})
    assert torch.equal(first.places(0, 9, NONE), second.places(0, 9, NONE))
    assert not first(torch.ones(1, 9, D)).out.equal(second(torch.ones(1, 9, D)).out)
    assert first(torch.ones(1, 9, D)).out.equal(other(torch.ones(1, 9, D)).out)
    torch.manual_seed(1)
    changed = attention.build("random_keys", dims=D, heads=2, seed=5)
    assert not torch.equal(first.places(0, 9, NONE), changed.places(0, 9, NONE))
    plain = attention.build("whisper", dims=D, heads=2)
    assert first.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, r"sigma: expected a positive number, given 0.0"),
        ({"base": -1.0}, r"base: expected a positive number, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
