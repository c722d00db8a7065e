"""A memory with an ℓ_p loss and ℓ_q weights, against autograd of that loss."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import assert_same
from tests.reference.linear import leaves_of
from tests.reference.memories import EXACT, by_loop, inputs, layer, recalled

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"window": 3, "gain": 1.0, "chunk": 5, "p": 1.5, "q": 3.0},
    "key by key": {"window": 9, "gain": 1.0, "chunk": 1, "base": 100.0},
}


def power(p):
    return lambda error, told: ((error**2 + 1e-6).sqrt() ** p).mean()


def norm(q):
    def link(A):
        *matrices, gamma = A
        return [a / (a.abs() ** q).sum() ** ((q - 2) / q) for a in matrices] + [gamma]

    return link


@pytest.mark.parametrize("masked", ["none", "keys", "late"])
@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_equals_autograd_key_by_key(use, masked):
    module, (x, xa, mask) = layer("moneta", use, rate=0.05), inputs(use, masked)
    expected = by_loop(module, x, xa, mask, power(3), norm(4))
    leaves = leaves_of(module, x, xa)
    assert_same(module(x, xa, mask).out, expected, leaves, EXACT)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves, EXACT)


@pytest.mark.parametrize(("p", "q"), [(1, 4), (1.5, 2), (4, 3)])
def test_equals_autograd_for_other_norms(p, q):
    module, (x, _, mask) = layer("moneta", rate=0.05, p=p, q=q), inputs("causal", "keys")
    expected = by_loop(module, x, None, mask, power(p), norm(q))
    assert_same(module(x, mask=mask).out, expected, leaves_of(module, x), EXACT)


def test_with_squares_it_is_titans_without_momentum():
    module, titans = layer("moneta", p=2, q=2), layer("titans", momentum=False)
    state = titans.state_dict()
    for name in ("tell.weight", "tell.bias"):  # but for the logit of momentum
        state[name] = state[name].unflatten(0, (2, 3))[:, :2].flatten(0, 1)
    module.load_state_dict(state)
    x = torch.randn(2, 11, 8, dtype=torch.float64)
    assert_close(module(x).out, titans(x).out, **EXACT)


def test_weights_do_not_grow_with_what_is_summed():
    """At q = 4 the norm of W is one over that of A."""
    module = layer("moneta")
    for size in (1.0, 100.0):
        W = module.link(size * module.start)[0]
        total = (size * module.start[:, : W[0].numel()]).pow(4).sum(dim=1) ** 0.25
        assert_close(W.pow(4).sum(dim=(1, 2)) ** 0.25, 1 / total, **EXACT)


def test_what_is_repeated_is_recalled():
    before, after = recalled("moneta")
    assert after < 0.6 < 2 < before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"p": 0.5}, r"p: expected 1 or more, given 0.5"),
        ({"q": 1.5}, r"q: expected 2 or more, given 1.5"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        attention.build("moneta", dims=8, heads=2, **settings)
