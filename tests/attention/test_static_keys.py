"""Attention with queries and keys of the embeddings, against a loop and in a stack."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.derived import by_loop

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "rotated": {"base": 100.0},
}

USES = ["self", "causal"]
D = 16


def layer(use="self", seed=0, **settings):
    torch.manual_seed(seed)
    return attention.build("static_keys", dims=D, heads=2, causal=use == "causal", **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
def test_equals_the_loop(masked, use):
    module, T = layer(use), 9
    x, e = (torch.randn(2, T, D, requires_grad=True) for _ in range(2))
    module.embedded = e
    keys = torch.arange(T) < torch.tensor([T, 4])[:, None]
    pairs = ((torch.rand(2, T, T) < 0.7) | (torch.arange(T) == 0)) & keys[:, None]
    mask = {"none": None, "keys": keys, "pairs": pairs}[masked]
    expected = by_loop(module, e, e, x, mask)
    leaves = {"x": x, "e": e, **dict(module.named_parameters())}
    assert_same(module(x, mask=mask).out, expected, leaves)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize(("base", "plain"), [(None, "whisper"), (100.0, "rotary")])
def test_told_its_own_input_or_nothing_it_is_plain_attention(base, plain):
    settings = {} if base is None else {"base": base}
    source = attention.build(plain, dims=D, heads=2, **settings)
    module, x = layer(base=base).adopt(source), torch.randn(2, 40, D)
    assert torch.equal(module(x).out, source(x).out)
    module.embedded = x
    assert torch.equal(module(x).out, source(x).out)


def test_what_the_blocks_below_made_of_the_embeddings_moves_values_alone():
    module, e = layer(), torch.randn(2, 9, D)
    module.embedded = e
    weights = [module(torch.randn(2, 9, D), need_weights=True).weights for _ in range(2)]
    assert_close(weights[0], weights[1])
    module.embedded = e.flip(1)
    assert not torch.allclose(module(e, need_weights=True).weights, weights[0], atol=1e-3)
    x = torch.randn(2, 9, D)  # linear in the values
    out = [module(scale * x).out for scale in (0.0, 1.0, 5.0)]
    assert_close(out[2] - out[0], 5 * (out[1] - out[0]), **TOLERANCE)


def test_it_is_decoded_as_the_whole():
    module = layer("causal", base=100.0)
    x, e, state, steps = torch.randn(1, 9, D), torch.randn(1, 9, D), module.new_state(), []
    for part, embedded in zip(x.split(1, dim=1), e.split(1, dim=1), strict=True):
        module.embedded = embedded
        steps.append(module(part, state=state).out)
    module.embedded = e
    assert_close(torch.cat(steps, dim=1), module(x).out, **TOLERANCE)


def test_embeddings_of_another_input_are_named():
    module = layer()
    module.embedded = torch.randn(2, 8, D)
    with pytest.raises(ValueError, match=r"embedded: expected shape \(2, 5, 16\), given \(2, 8"):
        module(torch.randn(2, 5, D))


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"base: expected a positive number, given -1.0"):
        layer(base=-1.0)
