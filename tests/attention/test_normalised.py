"""A learned denominator, against a loop over queries and against a recurrence."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import assert_same
from tests.reference.linear import EXACT, inputs, leaves_of, projected, walk
from tests.reference.published import turned

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "softplus": {"eta": "softplus"},
    "rotary": {"eta": "sigmoid", "base": 50.0},
}

ETA = {
    "exp": lambda a: torch.exp(a),
    "softplus": lambda a: torch.log(1 + torch.exp(a)),
    "sigmoid": lambda a: 1 / (1 + torch.exp(-a)),
}


def layer(use="causal", dims=8, heads=2, **settings):
    torch.manual_seed(0)
    return attention.build(
        "normalised", dims=dims, heads=heads, causal=use == "causal", cross=use == "cross",
        **settings,
    ).double()  # fmt: skip


def by_loop(module, x, xa, mask):
    q, k, v = projected(module, x, xa)
    if module.base is not None and xa is None:
        q, k = (torch.stack([turned(item, module.base) for item in part]) for part in (q, k))

    def row(b, h, i, seen):
        eta = ETA[module.config.eta](module.eta.weight[h] @ x[b, i] + module.eta.bias[h])
        return (k[b, seen, h] @ q[b, i, h]) @ v[b, seen, h] / (eta * module.config.keys)

    return module.out(walk(module, x, xa, mask, row))


@pytest.mark.parametrize("masked", ["none", "keys", "late", "pairs"])
@pytest.mark.parametrize("use", ["self", "causal", "cross"])
def test_equals_the_loop(use, masked):
    module, (x, xa, mask) = layer(use), inputs(use, masked)
    leaves, expected = leaves_of(module, x, xa), by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves, EXACT)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves, EXACT)


@pytest.mark.parametrize(
    "settings", [{"eta": "softplus"}, {"eta": "sigmoid", "keys": 1.0}, {"base": 50.0}]
)
def test_other_settings_equal_the_loop(settings):
    module, (x, _, _) = layer(**settings), inputs("causal", "none")
    assert_same(module(x).out, by_loop(module, x, None, None), leaves_of(module, x), EXACT)


def test_the_recurrence_of_a_dynamical_system_is_the_parallel_form():
    """h_i = h_{i-1} + B_i u_i and y_i = C_i h_i, with η in C_i."""
    module, (x, _, _) = layer(), inputs("causal", "none")
    (q, k, v), eta = projected(module, x), module.eta(x).exp()
    h, y = torch.zeros(2, 2, 4, 4, dtype=torch.float64), []
    for i in range(x.shape[1]):
        h = h + torch.einsum("bhk,bhv->bhkv", k[:, i], v[:, i])
        c = q[:, i] / eta[:, i, :, None] / 256
        y.append(torch.einsum("bhk,bhkv->bhv", c, h).flatten(1))
    expected = module.out(torch.stack(y, dim=1))
    assert_same(module(x).out, expected, leaves_of(module, x), EXACT)


def test_the_denominator_knows_the_query_alone():
    module, x = layer("self"), torch.randn(1, 9, 8, dtype=torch.float64)
    weights = module(x, need_weights=True).weights
    more = torch.cat((x, 5 * x[:, :4]), dim=1)
    assert_close(module(more, need_weights=True).weights[..., :9, :9], weights, **EXACT)
    assert (weights.sum(dim=-1) - 1).abs().min() > 1e-3
    assert (weights < 0).any()


def test_the_denominator_of_loud_padding_is_neither_none_nor_infinite():
    module, x = layer("self"), torch.randn(1, 9, 8, dtype=torch.float64)
    x = torch.cat((x, 1e6 * x[:, :2]), dim=1).requires_grad_()
    out = module(x, mask=torch.arange(11)[None] < 9).out
    assert out.isfinite().all()
    out.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eta": "e"}, r"eta: expected one of exp, softplus, sigmoid, given 'e'"),
        ({"keys": 0}, r"keys: expected a positive number, given 0"),
        ({"base": -1.0}, r"base: expected a positive number, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
