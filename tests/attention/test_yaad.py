"""A memory with the Huber loss, against autograd of that loss."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from tests.reference.compare import assert_same
from tests.reference.linear import leaves_of
from tests.reference.memories import EXACT, by_loop, inputs, layer, package, recalled

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"window": 3, "gain": 1.0, "chunk": 5},
    "key by key": {"window": 9, "gain": 1.0, "chunk": 1, "base": 100.0},
}


def huber(error, told):
    """On the length of the error, at the scale where, below δ, it is the mean of its squares."""
    length, delta = error.norm(), torch.log1p(torch.exp(told[2]))
    inside = length**2 / 2 if length <= delta else delta * (length - delta / 2)
    return inside * 2 / error.shape[0]


@pytest.mark.parametrize("masked", ["none", "keys", "late"])
@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_equals_autograd_key_by_key(use, masked):
    module, (x, xa, mask) = layer("yaad", use), inputs(use, masked)
    with torch.no_grad():
        module.tell.bias[2 :: module.logits] = 2.5  # some errors are longer, some are not
    leaves, expected = leaves_of(module, x, xa), by_loop(module, x, xa, mask, huber)
    assert_same(module(x, xa, mask).out, expected, leaves, EXACT)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves, EXACT)


def test_equals_the_package_with_this_loss():
    module, delta = layer("yaad", alone=True, plain=True), 2.0
    with torch.no_grad():
        module.tell.weight.view(2, 3, -1)[:, 2] = 0
        module.tell.bias[2::3] = torch.tensor(delta).expm1().log()

    def loss(said, target):
        length = (said - target).norm(dim=-1)
        return F.huber_loss(length, torch.zeros_like(length), "none", delta) * 2 / said.shape[-1]

    x = torch.randn(2, 14, 8, dtype=torch.float64)
    assert_close(module(x).out, package(module, loss)(x)[0], rtol=1e-6, atol=1e-6)


def test_with_a_far_threshold_it_is_titans_without_momentum():
    module, titans = layer("yaad", "self"), layer("titans", "self", momentum=False)
    titans.load_state_dict(module.state_dict())
    x = torch.randn(2, 11, 8, dtype=torch.float64)
    assert not torch.allclose(module(x).out, titans(x).out, atol=1e-4)
    module.tell.bias.data[2 :: module.logits] = 100
    titans.tell.bias.data[2 :: module.logits] = 100
    assert_close(module(x).out, titans(x).out, **EXACT)


def test_an_outlier_moves_it_little():
    for outlier in (0.0, 100.0):
        assert recalled("yaad", outlier)[1] < 0.5
    assert recalled("titans", 100.0, momentum=False)[1] > 2
