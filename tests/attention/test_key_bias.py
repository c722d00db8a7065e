"""A learned key in front, against a loop over rows and against x-transformers."""

import math

import pytest
import torch
from torch.testing import assert_close
from x_transformers.x_transformers import Attention

from focused_attention import attention
from tests.reference.compare import TOLERANCE
from tests.reference.rows import MASKS, USES, assert_is_rows, inputs

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "value": {"value": True},
    "rotary": {"base": 100.0},
}


def layer(use="self", name="key_bias", **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    module = attention.build(name, dims=16, heads=2, **place, **settings)
    for name, p in module.named_parameters():
        if name in ("key_bias", "value_bias"):
            torch.nn.init.normal_(p)
    return module


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("settings", [{}, {"value": True}, {"base": 100.0}], ids=str)
def test_equals_the_loop(settings, masked, use):
    module = layer(use, **settings)

    def row(h, i, q, keys, values):
        keys = torch.cat((module.key_bias[h, None], keys))
        first = module.value_bias[h] if "value" in settings else torch.zeros(len(q))
        values = torch.cat((first[None], values))
        return (keys @ q / math.sqrt(len(q))).softmax(dim=0) @ values

    assert_is_rows(module, row, use, masked, settings.get("base"))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("value", [False, True])
def test_equals_x_transformers(value, use):
    module = layer(use, value=value)
    peer = Attention(16, dim_head=8, heads=2, num_mem_kv=1, causal=use == "causal")
    with torch.no_grad():
        for bias in (module.query.bias, module.value.bias, module.out.bias):
            bias.zero_()  # it has none
        pairs = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out", "out"))
        for theirs, ours in pairs:
            getattr(peer, theirs).weight.copy_(getattr(module, ours).weight)
        peer.mem_k.copy_(module.key_bias[:, None])
        peer.mem_v.copy_(module.value_bias[:, None] if value else torch.zeros(2, 1, 8))
    x, xa, mask = inputs(use, "keys", 16)
    masks = {"context_mask": mask} if use == "cross" else {"mask": mask}
    read = (
        torch.ones(x.shape[:2], dtype=torch.bool) if use == "cross" else mask
    )  # it zeroes padding
    assert_close(module(x, xa, mask).out[read], peer(x, context=xa, **masks)[read], **TOLERANCE)


@pytest.mark.parametrize("use", USES)
def test_a_key_of_zero_is_the_null_key(use):
    null, module = layer(use, "null_key"), layer(use)
    module.adopt(null)
    torch.nn.init.zeros_(module.key_bias)
    x, xa, mask = inputs(use, "keys", 16)
    assert_close(module(x, xa, mask).out, null(x, xa, mask).out, **TOLERANCE)


def test_the_learned_key_takes_what_a_sink_would():
    module, x = layer(), torch.randn(1, 20, 16)
    torch.nn.init.ones_(module.query.bias)
    sums = []
    for scale in (-9.0, 0.0, 9.0):
        module.key_bias.data.fill_(scale)
        sums.append(module(x, need_weights=True).weights.sum(dim=-1))
    assert (sums[0] > sums[1]).all()
    assert (sums[1] > sums[2]).all()
    assert (sums[2] < 0.1).all()


def test_what_is_done_to_a_row_is_done_to_the_share_of_the_learned_value():
    module, x = layer(value=True), torch.randn(2, 9, 16)
    whole = module(x).out - module.out.bias
    for factor in (1.0, 0.5, 0.0):
        module.edit = lambda rows, factor=factor: factor * rows
        assert_close(module(x).out - module.out.bias, factor * whole, **TOLERANCE)


def test_what_sees_no_key_does_not_read_the_learned_value():
    module, x = layer(value=True), torch.randn(2, 9, 16)
    mask = torch.tensor([[True], [False]]).expand(2, 9)
    for need_weights in (False, True):
        out = module(x, mask=mask, need_weights=need_weights).out[1]
        assert_close(out, module.out.bias.expand(9, -1))


def test_it_starts_small_and_without_a_value():
    torch.manual_seed(0)
    module = attention.build("key_bias", dims=512, heads=8)
    assert module.key_bias.shape == (8, 64)
    assert module.key_bias.std().item() == pytest.approx(0.02, rel=0.1)
    assert not hasattr(module, "value_bias")
