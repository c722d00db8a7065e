"""A memory whose weights are shares, against its multiplicative rule by autograd."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import assert_same
from tests.reference.linear import leaves_of
from tests.reference.memories import EXACT, by_loop, inputs, layer, parts, recalled, says, unit

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"window": 3, "gain": 1.0, "chunk": 5, "c": 4.0},
    "key by key": {"window": 9, "gain": 0.5, "chunk": 1, "base": 100.0, "rate": 0.02},
}


def squared(error, told):
    return error.square().mean()


def shares(c):
    def link(A):
        *matrices, gamma = A
        return [c * torch.exp(a) / torch.exp(a).sum(dim=0) for a in matrices] + [gamma]

    return link


@pytest.mark.parametrize("masked", ["none", "keys", "late"])
@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_equals_autograd_key_by_key(use, masked):
    module, (x, xa, mask) = layer("memora", use, c=1.5), inputs(use, masked)
    expected = by_loop(module, x, xa, mask, squared, shares(1.5))
    leaves = leaves_of(module, x, xa)
    assert_same(module(x, xa, mask).out, expected, leaves, EXACT)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves, EXACT)


def test_a_step_is_the_rule_of_the_paper():
    """W_t = c softmax((1 - λ) log W_{t-1} - θ ∇ℓ), key by key, without any A."""
    module = layer("memora", heads=1, alone=True, chunk=1, c=1.5, plain=True)
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    k, v, told = unit_rows(module.key(x)[0]), module.value(x)[0], module.tell(x)[0]
    W = shares(1.5)(parts(module, 0))
    for t in range(6):
        loss = (says(W, k[t]) - v[t]).square().mean()
        grads = torch.autograd.grad(loss, W)
        theta, kept = module.config.rate * told[t, 0].sigmoid(), 1 - told[t, 1].sigmoid()
        after = [
            1.5 * (kept * w.log() - theta * g).softmax(dim=0)
            for w, g in zip(W[:2], grads[:2], strict=True)
        ]
        W = [*after, kept * W[2] - theta * grads[2]]
        assert_close(module(x).out[0, t], says(W, unit(module.query(x)[0, t])), **EXACT)


def unit_rows(x):
    return torch.stack([unit(row) for row in x])


def test_what_is_forgotten_becomes_even():
    module = layer("memora", c=1.5)
    for kept, spread in ((1.0, True), (1e-9, False)):
        W1, W2, _ = module.link(kept * module.start)
        assert (W1.std() > 0.1) == (W2.std() > 0.05) == spread
        assert_close(W1.sum(dim=1), torch.full_like(W1[:, 0], 1.5))
        assert_close(W2.sum(dim=1), torch.full_like(W2[:, 0], 1.5))


def test_what_is_repeated_is_recalled():
    before, after = recalled("memora")
    assert after < 0.7 < 2 < before


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"c: expected a positive number, given 0"):
        attention.build("memora", dims=8, heads=2, c=0)
