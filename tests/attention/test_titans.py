"""A memory that learns from its surprise, against autograd of its loss and a published package."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import assert_same
from tests.reference.linear import leaves_of
from tests.reference.memories import EXACT, by_loop, inputs, layer, package, recalled

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"window": 3, "gain": 1.0, "chunk": 5},
    "key by key": {"window": 9, "gain": 1.0, "chunk": 1, "momentum": False, "base": 100.0},
}


def squared(error, told):
    return error.square().mean()


@pytest.mark.parametrize("masked", ["none", "keys", "late", "hole"])
@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_equals_autograd_key_by_key(use, masked):
    module, (x, xa, mask) = layer("titans", use), inputs(use, masked)
    leaves, expected = leaves_of(module, x, xa), by_loop(module, x, xa, mask, squared)
    assert_same(module(x, xa, mask).out, expected, leaves, EXACT)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves, EXACT)


@pytest.mark.parametrize("settings", [{"momentum": False}, {"chunk": 1}, {"alone": True}], ids=str)
@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_equals_autograd_in_other_settings(use, settings):
    module, (x, xa, mask) = layer("titans", use, **settings), inputs(use, "keys")
    leaves, expected = leaves_of(module, x, xa), by_loop(module, x, xa, mask, squared)
    assert_same(module(x, xa, mask).out, expected, leaves, EXACT)


@pytest.mark.parametrize("chunk", [1, 4])
def test_equals_the_package_in_every_gradient(chunk):
    module = layer("titans", alone=True, chunk=chunk, plain=True)
    theirs, x = package(module), torch.randn(2, 14, 8, dtype=torch.float64, requires_grad=True)
    ours, expected = module(x).out, theirs(x)[0]
    assert_close(ours, expected, **EXACT)
    upstream = torch.randn_like(ours)
    pairs = [(x, x)]
    for name, other in (("query", "queries"), ("key", "keys"), ("value", "values")):
        pairs.append((getattr(module, name).weight, getattr(theirs, f"to_{other}").weight))
    mine, other = zip(*pairs, strict=True)
    for a, b in zip(
        torch.autograd.grad(ours, mine, upstream),
        torch.autograd.grad(expected, other, upstream),
        strict=True,
    ):
        assert_close(a, b, **EXACT)


def test_the_package_alone_takes_all_gradients_at_the_start():
    """Without its `batch_size`: the same for as long as one chunk is all that was written."""
    module = layer("titans", alone=True, chunk=4, plain=True)
    theirs, x = package(module), torch.randn(2, 14, 8, dtype=torch.float64)
    theirs.batch_size = None
    ours, expected = module(x).out, theirs(x)[0]
    assert_close(ours[:, :7], expected[:, :7], **EXACT)
    assert (ours[:, 7:] - expected[:, 7:]).abs().amax(dim=(0, 2)).min() > 1e-3


def test_what_is_repeated_is_recalled_and_momentum_goes_on_learning():
    before, after = recalled("titans")
    _, without = recalled("titans", momentum=False)
    assert after < 0.8 * without < 0.4 < 2 < before


def test_without_causality_both_ends_count_alike():
    """A reversed sequence, in chunks that divide it, gives the reversed output."""
    module, x = layer("titans", "self"), torch.randn(2, 12, 8, dtype=torch.float64)
    assert_close(module(x.flip(1)).out.flip(1), module(x).out, **EXACT)


def test_the_steps_of_the_package_diverge_where_gradients_are_taken_anew():
    x = torch.randn(1, 200, 96)
    for settings, grows in (({}, False), ({"rate": 1.0, "forget": 0.5}, True)):
        torch.manual_seed(0)
        module = attention.build("titans", dims=96, heads=8, causal=True, alone=True, **settings)
        assert (module(x).out.abs().max() > 1000) == grows


def test_what_is_learned_is_trained():
    module, (x, _, _) = layer("titans"), inputs("causal", "none")
    module(x).out.square().mean().backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad != 0).any(), name
    assert (module.tell.weight.grad.abs().sum(dim=1) > 0).all()  # of θ, α and η in every head
