"""Means of the input itself, against a loop over queries and a source with unit matrices."""

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


def layer(use="self", name="valueless", **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    return attention.build(name, dims=16, heads=2, **place, **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
def test_equals_the_loop(masked, use):
    module = layer(use)
    torch.nn.init.normal_(module.out.bias)
    x, xa, mask = inputs(use, masked, 16)
    leaves = {"x": x.requires_grad_(), **dict(module.named_parameters())}
    if xa is not None:
        leaves["xa"] = xa.requires_grad_()
    source = x if xa is None else xa
    q, k, v = (
        part.unflatten(-1, (2, -1)) for part in (module.query(x), module.key(source), source)
    )
    expected = by_heads(q, k, v, mask, module.is_causal, 8**-0.5) + module.out.bias
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


def test_an_output_is_among_the_inputs():
    x = torch.randn(1, 9, 16)
    out = layer()(x).out
    assert (out <= x.amax(dim=1, keepdim=True)).all()
    assert (out >= x.amin(dim=1, keepdim=True)).all()
    assert layer(name="whisper")(100 * x).out.abs().max() > x.abs().max()


def test_queries_and_keys_are_all_that_is_learned_but_for_a_bias():
    kept = {"query.weight", "query.bias", "key.weight", "out.bias"}
    assert layer().state_dict().keys() == kept


@pytest.mark.parametrize("use", USES)
def test_of_unit_matrices_it_adopts_the_same_function(use):
    source = layer(use, "whisper")
    for part in (source.value, source.out):
        torch.nn.init.eye_(part.weight)
        torch.nn.init.normal_(part.bias)
    module = layer(use).adopt(source)
    x, xa, _ = inputs(use, "none", 16)
    assert_close(module(x, xa).out, source(x, xa).out, **TOLERANCE)
    again = layer(use).adopt(module)
    assert torch.equal(again(x, xa).out, module(x, xa).out)


def test_of_others_it_adopts_the_weights_and_what_the_bias_of_the_values_became():
    source, x = layer(name="whisper"), torch.randn(1, 9, 16)
    module = layer().adopt(source)
    shown = [of(x, need_weights=True).weights for of in (module, source)]
    assert torch.equal(*shown)
    torch.nn.init.zeros_(source.value.weight)
    shift = module.out.bias.expand(1, 9, -1)
    assert_close(source(x).out, shift, **TOLERANCE)
