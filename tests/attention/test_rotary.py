"""Rotary attention against rotation written with complex numbers, and its maximum distance."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.positions import rotate, rotations

CASES = {"as it comes": {}, "narrow": {"max_dist": 5}}  # for test_every_mechanism.py

TOLERANCE = {"rtol": 0, "atol": 1e-5}


def by_complex_numbers(layer, x, base, max_dist, causal):
    """Pair (a, b) of a head is a + bi, turned by e^(i t / base^(2 j / K)); one head at a time."""
    B, T, D = x.shape
    H, K = layer.heads, D // layer.heads
    q, k, v = (p(x).view(B, T, H, K).double() for p in (layer.query, layer.key, layer.value))
    rates = torch.tensor([base ** (-2 * j / K) for j in range(K // 2)], dtype=torch.float64)
    turns = torch.polar(
        torch.ones(T, K // 2, dtype=torch.float64),
        torch.arange(T, dtype=torch.float64)[:, None] * rates,
    )
    heads = []
    for h in range(H):
        z, w = (
            torch.complex(part[:, :, h, : K // 2], part[:, :, h, K // 2 :]) * turns
            for part in (q, k)
        )
        scores = torch.einsum("btj,bsj->bts", z, w.conj()).real / K**0.5
        for t in range(T):
            for s in range(T):
                if (causal and s > t) or (max_dist is not None and abs(t - s) > max_dist):
                    scores[:, t, s] = -torch.inf
        heads.append(scores.softmax(-1) @ v[:, :, h])
    return layer.out(torch.cat(heads, dim=-1).to(x.dtype))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("base", "max_dist"), [(10000.0, None), (50.0, None), (10.0, 3), (1e4, 1)])
def test_equals_rotation_by_complex_numbers(base, max_dist, causal):
    torch.manual_seed(0)
    layer = attention.build("rotary", dims=24, heads=3, causal=causal, base=base, max_dist=max_dist)
    x = torch.randn(2, 11, 24, requires_grad=True)
    out, expected = layer(x).out, by_complex_numbers(layer, x, base, max_dist, causal)
    assert_close(out, expected, **TOLERANCE)
    upstream = torch.randn_like(out)
    (given,) = torch.autograd.grad(out, x, upstream)
    (wanted,) = torch.autograd.grad(expected, x, upstream)
    assert_close(given, wanted, **TOLERANCE)


def test_only_the_distance_between_positions_matters():
    torch.manual_seed(0)
    layer = attention.build("rotary", dims=16, heads=2)
    q, k = torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    scores = [
        torch.matmul(*(z if i == 0 else z.mT for i, z in enumerate(layer.position(q, k, t))))
        for t in (0, 17)
    ]
    assert_close(scores[0], scores[1], **TOLERANCE)


def test_the_maximum_distance_hides_keys_in_self_attention_only():
    torch.manual_seed(0)
    near = attention.build("rotary", dims=16, heads=2, max_dist=2)
    weights = near(torch.randn(1, 9, 16), need_weights=True).weights
    far = (torch.arange(9)[:, None] - torch.arange(9)).abs() > 2
    assert weights[..., far].count_nonzero() == 0
    assert (weights[..., ~far] > 0).all()
    cross = attention.build("rotary", dims=16, heads=2, cross=True, max_dist=2)
    weights = cross(torch.randn(1, 4, 16), torch.randn(1, 30, 16), need_weights=True).weights
    assert (weights > 0).all()


def test_in_cross_attention_it_is_plain():
    torch.manual_seed(0)
    rotary = attention.build("rotary", dims=16, heads=2, cross=True)
    plain = attention.build("whisper", dims=16, heads=2, cross=True)
    plain.load_state_dict(rotary.state_dict())
    x, xa = torch.randn(2, 5, 16), torch.randn(2, 8, 16)
    assert_close(rotary(x, xa).out, plain(x, xa).out, **TOLERANCE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 16}, "heads: expected an even head width"),
        ({"heads": 2, "max_dist": 0}, "max_dist: expected a positive number, given 0"),
    ],
)
def test_an_impossible_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        attention.build("rotary", dims=16, **settings)


def test_gradients_of_a_rotation_are_those_of_finite_differences():
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    cos, sin = rotations(0, 5, 4, 100.0, x.dtype, x.device)
    assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin), x)
    assert torch.autograd.gradgradcheck(lambda x: rotate(x, cos, sin), x)
