"""One projection for queries and keys, against a loop over queries, and what it adopts."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.minimal import by_heads
from tests.reference.rows import MASKS, USES, inputs

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "rotated": {"base": 100.0},
}
EXACT = {"rtol": 1e-9, "atol": 1e-9}  # double precision


def layer(use="self", name="symmetric", heads=2, **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    return attention.build(name, dims=16, heads=heads, **place, **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
def test_equals_the_loop(masked, use):
    module = layer(use)
    x, xa, mask = inputs(use, masked, 16)
    leaves = {"x": x.requires_grad_(), **dict(module.named_parameters())}
    if xa is not None:
        leaves["xa"] = xa.requires_grad_()
    source = x if xa is None else xa
    W_Q, b = module.query.weight, module.query.bias
    parts = x @ W_Q.T + b, source @ W_Q.T, module.value(source)  # keys need no bias: see below
    q, k, v = (part.unflatten(-1, (2, -1)) for part in parts)
    expected = module.out(by_heads(q, k, v, mask, module.is_causal, 8**-0.5))
    assert_same(module(x, xa, mask).out, expected, leaves, {"rtol": 1e-5, "atol": 3e-5})
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves,
                {"rtol": 1e-5, "atol": 3e-5})  # fmt: skip


def logarithm_around(weights):
    """log A_ij + log A_jk + log A_ki less the way back, for three positions."""
    logs, (i, j, k) = weights.log(), (0, 3, 5)
    there = logs[..., i, j] + logs[..., j, k] + logs[..., k, i]
    return there - logs[..., i, k] - logs[..., k, j] - logs[..., j, i]


def test_rows_tell_of_a_symmetric_measure():
    """Of symmetric scores, weights are as likely around a circle one way as the other."""
    x = 2 * torch.randn(1, 7, 16)
    around = [
        logarithm_around(layer(name=name)(x, need_weights=True).weights).abs().max()
        for name in ("symmetric", "whisper")
    ]
    assert around[0] < 1e-5 < 1e-2 < around[1]


def test_what_is_long_attends_to_itself_most():
    module, x = layer(), torch.randn(1, 7, 16)
    weights = module(30 * x / x.norm(dim=-1, keepdim=True), need_weights=True).weights
    assert weights.argmax(dim=-1).eq(torch.arange(7)).float().mean() > 0.5


def test_half_of_the_weights_of_queries_and_keys_are_left():
    assert layer(name="whisper").state_dict().keys() - layer().state_dict().keys() == {"key.weight"}


@pytest.mark.parametrize("use", USES)
def test_it_adopts_equal_queries_and_keys_as_they_are(use):
    source = layer(use, "whisper").double()
    source.key.weight.data.copy_(source.query.weight)
    x, xa, _ = inputs(use, "none", 16)
    x, xa = x.double(), None if xa is None else xa.double()
    adopted = layer(use).double().adopt(source)
    assert_close(adopted(x, xa).out, source(x, xa).out, **EXACT)
    again = layer(use).double().adopt(adopted)
    assert torch.equal(again(x, xa).out, adopted(x, xa).out)


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_of_others_it_adopts_the_nearest_symmetric_scores(heads):
    source = layer(name="whisper", heads=heads).double()
    W_Q, W_K = (part.weight.unflatten(0, (heads, -1)) for part in (source.query, source.key))
    scores = (W_Q.mT @ W_K).detach()

    def distance(W):
        T = W.unflatten(0, (heads, -1))
        return (T.mT @ T - scores).square().sum()

    nearest = layer(heads=heads).double().adopt(source).query.weight
    (slope,) = torch.autograd.grad(distance(nearest), nearest)
    assert_close(slope, torch.zeros_like(slope), **EXACT)
    others = source.query.weight, source.key.weight, (source.query.weight + source.key.weight) / 2
    assert distance(nearest) < min(map(distance, others))


def test_and_of_the_bias_what_its_queries_can_say():
    """b meets keys as W_Kᵀ b: what is left of it is none that T could have."""
    source = layer(name="whisper").double()
    module = layer().double().adopt(source)
    T, W_K = (of.weight.unflatten(0, (2, -1)) for of in (module.query, source.key))
    own, b = (of.query.bias.unflatten(0, (2, -1, 1)) for of in (module, source))
    left = T.mT @ own - W_K.mT @ b
    assert_close(T @ left, torch.zeros_like(own), **EXACT)
    assert left.norm() < 0.9 * (W_K.mT @ b).norm()


def test_keys_may_have_the_bias_or_not():
    module, x = layer(), torch.randn(1, 9, 16)
    before = module(x).out
    key = module.key
    module.key = None
    object.__setattr__(module, "key", lambda of: key(of) - module.query.bias)
    assert_close(module(x).out, before, **TOLERANCE)
