"""Lightning attention block after block: equal to the same at once, and to the loop."""

import pytest
import torch

from focused_attention import attention
from tests.attention.test_lightning import by_loop, layer
from tests.reference.compare import assert_same
from tests.reference.linear import EXACT, inputs, leaves_of

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "small": {"block": 7, "norm": "srmsnorm", "base": 50.0},
}


def blocked(use="causal", **settings):
    return layer(use, name="lightning_blocked", **settings)


@pytest.mark.parametrize("masked", ["none", "keys", "late", "pairs"])
@pytest.mark.parametrize("use", ["self", "causal"])
def test_equals_the_loop(use, masked):
    module, (x, _, mask) = blocked(use, block=16, base=50.0), inputs(use, masked)
    leaves, expected = leaves_of(module, x), by_loop(module, x, mask)
    assert_same(module(x, mask=mask).out, expected, leaves, EXACT)


@pytest.mark.parametrize("T", [65, 200, 256])
@pytest.mark.parametrize("block", [1, 9, 64, 500])
@pytest.mark.parametrize("use", ["self", "causal"])
def test_blocks_of_any_size_are_lightning(use, block, T):
    module, plain = blocked(use, block=block), layer(use)
    for name, part in plain.named_children():
        setattr(module, name, part)  # the same leaves
    x = torch.randn(2, T, 8, dtype=torch.float64, requires_grad=True)
    assert_same(module(x).out, plain(x).out, leaves_of(plain, x), EXACT)


def test_a_block_is_all_that_is_weighed_at_once():
    module, sizes = blocked(block=10), []
    decay = module.decay
    module.decay = lambda distance, like: sizes.append(distance.numel()) or decay(distance, like)
    module(torch.randn(1, 300, 8, dtype=torch.float64))
    assert max(sizes) == 100


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"block: expected a positive number, given 0"):
        attention.build("lightning_blocked", dims=8, heads=2, block=0)
