"""Decaying linear attention, against a loop over queries and against its recurrence."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import assert_same
from tests.reference.linear import EXACT, inputs, leaves_of, projected, walk
from tests.reference.published import turned

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "srmsnorm": {"norm": "srmsnorm"},
    "rotary": {"base": 50.0},
}


def layer(use="causal", dims=8, heads=2, name="lightning", place=(0, 1), **settings):
    torch.manual_seed(0)
    module = attention.build(
        name, dims=dims, heads=heads, causal=use == "causal", layer=place[0], depth=place[1],
        **settings,
    )  # fmt: skip
    if module.config.norm == "layernorm":
        module.norm.weight.data.uniform_(0.5, 1.5)
        module.norm.bias.data.normal_()
    return module.double()


def silu(x):
    return x / (1 + torch.exp(-x))


def finished(module, o, x):
    """From the heads (B, T, D) on: norm, gate and output projection."""
    if module.config.norm == "layernorm":
        centred = o - o.mean(dim=-1, keepdim=True)
        o = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        o = o * module.norm.weight + module.norm.bias
    else:
        o = o / (o.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    gate = x @ module.gate[0].weight.T @ module.gate[1].weight.T
    return module.out(o / (1 + torch.exp(-gate)))


def by_loop(module, x, mask, decay=(2**-4, 2**-8)):
    """λ = exp(-decay) of two heads, in the first of all layers."""
    q, k, v = (silu(part) for part in projected(module, x))
    if module.base is not None:
        q, k = (torch.stack([turned(item, module.base) for item in part]) for part in (q, k))

    def row(b, h, i, seen):
        slope = decay[h] * (1 + 1e-5)
        kept = x.new_tensor([math.exp(-slope * abs(i - j)) for j in seen])
        return (kept * (k[b, seen, h] @ q[b, i, h])) @ v[b, seen, h]

    return finished(module, walk(module, x, None, mask, row), x)


@pytest.mark.parametrize("masked", ["none", "keys", "late", "pairs"])
@pytest.mark.parametrize("use", ["self", "causal"])
@pytest.mark.parametrize("base", [None, 50.0])
def test_equals_the_loop(base, use, masked):
    module, (x, _, mask) = layer(use, base=base), inputs(use, masked)
    leaves, expected = leaves_of(module, x), by_loop(module, x, mask)
    assert_same(module(x, mask=mask).out, expected, leaves, EXACT)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves, EXACT)


def test_the_norm_of_the_paper_is_not_the_released_one():
    module, (x, _, _) = layer(norm="srmsnorm"), inputs("causal", "none")
    assert_same(module(x).out, by_loop(module, x, None), leaves_of(module, x), EXACT)
    released = layer()
    assert not torch.allclose(released.adopt(module)(x).out, module(x).out, atol=0.1)
    assert {"norm.weight", "norm.bias"} == released.state_dict().keys() - module.state_dict().keys()


@pytest.mark.parametrize("T", [1, 63, 64, 129, 300])
def test_the_recurrence_is_the_parallel_form(T):
    """S_i = λ S_{i-1} + k_iᵀ v_i and o_i = q_i S_i."""
    module = layer()
    x = torch.randn(2, T, 8, dtype=torch.float64, requires_grad=True)
    q, k, v = (silu(part) for part in projected(module, x))
    rate = torch.tensor([2**-4, 2**-8], dtype=torch.float64) * (1 + 1e-5)
    memory, out = torch.zeros(2, 2, 4, 4, dtype=torch.float64), []
    for i in range(T):
        new = torch.einsum("bhk,bhv->bhkv", k[:, i], v[:, i])
        memory = (-rate).exp()[:, None, None] * memory + new
        out.append(torch.einsum("bhk,bhkv->bhv", q[:, i], memory).flatten(1))
    expected = finished(module, torch.stack(out, dim=1), x)
    assert_same(module(x).out, expected, leaves_of(module, x), EXACT)


def test_the_last_layer_hardly_decays_and_the_first_head_decays_most():
    first, middle, last = (layer(heads=4, place=(i, 3)).slopes for i in range(3))
    assert first == pytest.approx([s * (1 + 1e-5) for s in (1 / 4, 1 / 16, 1 / 64, 1 / 256)])
    assert middle == pytest.approx([s * (0.5 + 1e-5) / (1 + 1e-5) for s in first])
    assert last == pytest.approx([s * 1e-5 / (1 + 1e-5) for s in first])
    module, x = layer(), torch.randn(1, 1, 8, dtype=torch.float64).expand(1, 40, 8)
    weights = module(x, need_weights=True).weights[0, :, -1]  # of equal keys: decay alone
    back = torch.arange(39.0, -1, -1)
    assert_close((weights / weights[:, -1:]).log(), -torch.tensor(module.slopes)[:, None] * back,
                 check_dtype=False)  # fmt: skip


def test_steep_slopes_and_long_inputs_neither_overflow_nor_vanish():
    module = layer(dims=64, heads=16).float()  # λ down to exp(-0.7)
    x = 20 * torch.randn(1, 1000, 64)
    out = module(x).out
    assert out.isfinite().all()
    assert_close(out, module(x, need_weights=True).out, rtol=1e-3, atol=1e-3)


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"norm: expected one of layernorm, srmsnorm, given 'n'"):
        attention.build("lightning", dims=8, heads=2, norm="n")
