"""One head and one matrix for queries and keys, against a loop over queries and its source."""

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
EXACT = {"rtol": 1e-10, "atol": 1e-10}  # double precision


def layer(use="self", name="single_head", heads=2, **settings):
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
    q, k, v = (part[:, :, None] for part in (module.query(x), source, module.value(source)))
    expected = module.out(by_heads(q, k, v, mask, module.is_causal, 16**-0.5))
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("use", USES)
def test_of_one_head_nothing_is_lost(use):
    source = layer(use, "whisper", heads=1).double()
    module = layer(use, heads=1).double().adopt(source)
    x, xa, mask = inputs(use, "keys", 16)
    given = x.double(), None if xa is None else xa.double(), mask
    assert_close(module(*given).out, source(*given).out, **EXACT)
    counts = [sum(p.numel() for p in part.parameters()) for part in (source, module)]
    assert counts[0] - counts[1] == 16 * 16


def test_of_several_heads_it_adopts_the_sum_of_their_scores():
    source, x = layer(name="whisper"), torch.randn(1, 9, 16)
    q, k, _ = source.project(x, None)
    expected = ((q @ k.mT).sum(dim=1, keepdim=True) / 4).softmax(dim=-1)
    weights = layer().adopt(source)(x, need_weights=True).weights
    assert_close(weights, expected.expand(-1, 2, -1, -1), **TOLERANCE)
    again = layer().adopt(layer().adopt(source))
    assert torch.equal(again(x, need_weights=True).weights, weights)


@pytest.mark.parametrize("masked", ["none", "keys"])
def test_a_temperature_is_of_a_slice_of_the_values(masked):
    module, (x, _, mask) = layer(), inputs("self", masked, 16)
    one = module(x, mask=mask, need_weights=True).weights
    module.temperature = torch.tensor([0.5, 2.0])
    powers = one ** torch.tensor([2.0, 0.5])[:, None, None]
    expected = powers / powers.sum(dim=-1, keepdim=True)
    assert_close(module(x, mask=mask, need_weights=True).weights, expected, **TOLERANCE)
    v = module.split(module.value(x))
    out = module.out((expected @ v).transpose(1, 2).flatten(2))
    assert_close(module(x, mask=mask).out, out, **TOLERANCE)


def test_what_is_done_to_one_slice_leaves_the_others():
    module, x = layer(), torch.randn(1, 9, 16)
    torch.nn.init.eye_(module.out.weight)
    before = module(x).out
    module.edit = lambda rows: rows * torch.tensor([1.0, 0.0])[:, None, None]
    after = module(x).out
    assert_close(after[..., :8], before[..., :8], **TOLERANCE)
    assert_close(after[..., 8:], module.out.bias[8:].expand(1, 9, -1), **TOLERANCE)
