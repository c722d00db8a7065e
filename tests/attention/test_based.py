"""The Taylor series of the exponential, against a loop that knows no features."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.linear.based import taylor
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.published import turned

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "few": {"features": 3},
    "rotary": {"base": 50.0},
}

USES = ["self", "causal", "cross"]


def layer(use="self", dims=8, heads=2, **settings):
    torch.manual_seed(0)
    return attention.build(
        "based", dims=dims, heads=heads, causal=use == "causal", cross=use == "cross", **settings
    )


def masks(kind, T, S):
    keys = torch.arange(S) < torch.tensor([S, S // 3])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    return {"none": None, "keys": keys, "pairs": pairs}[kind]


def by_loop(module, x, xa, mask):
    """One head of one query at a time: 1 + s + s² / 2 of every score."""
    source = x if xa is None else xa
    (B, T, _), S, H = x.shape, source.shape[1], module.heads
    q, k, v = (
        part(y).view(B, len(y[0]), H, -1)
        for part, y in ((module.query, x), (module.key, source), (module.value, source))
    )
    if module.base is not None and xa is None:
        q, k = (torch.stack([turned(item, module.base) for item in part]) for part in (q, k))
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [j for j in range(S) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if (mask[b, j] if mask.ndim == 2 else mask[b, i, j])]
            for h in range(H):
                s = k[b, seen, h] @ q[b, i, h] / math.sqrt(module.config.features)
                a = 1 + s + s**2 / 2
                rows.append(a / a.sum() @ v[b, seen, h] if seen else torch.zeros_like(v[b, 0, h]))
    return module.out(torch.stack(rows).view(B, T, -1))


@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("settings", [{}, {"features": 3}, {"features": 6, "base": 50.0}], ids=str)
@pytest.mark.parametrize("use", USES)
def test_equals_the_loop(use, settings, masked):
    module, S = layer(use, **settings), 19
    x = torch.randn(2, 5 if use == "cross" else S, 8, requires_grad=True)
    xa = torch.randn(2, S, 8, requires_grad=True) if use == "cross" else None
    mask = masks(masked, x.shape[1], S)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    expected = by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("width", [1, 2, 5, 16])
def test_every_pair_once_has_the_products_of_the_full_square(width):
    """The source's features, and their number."""
    x, y = torch.randn(2, 7, width, dtype=torch.float64)

    def full(z):
        square = (z[:, :, None] * z[:, None, :]).flatten(1) / 2**0.5
        return torch.cat((torch.ones(7, 1), z / width**0.25, square / width**0.5), dim=1)

    assert_close(taylor(x) @ taylor(y).mT, full(x) @ full(y).mT)
    assert taylor(x).shape[1] == 1 + width + width * (width + 1) // 2


def test_it_is_softmax_where_scores_are_small_and_no_longer_where_they_are_not():
    """The third order is what is missing; below -1 a lower score weighs more."""
    s = torch.tensor([-0.1, 0.1, -3.0], dtype=torch.float64)
    q = torch.ones(3, 1, dtype=torch.float64)
    weights = (taylor(q) * taylor(s[:, None])).sum(dim=1)
    assert_close(weights[:2], s[:2].exp(), rtol=0, atol=0.1**3 / 6 * 1.1)
    assert weights[2] == pytest.approx(2.5)
    assert weights[2] > weights[1]


@pytest.mark.parametrize("use", ["self", "causal"])
def test_adopted_rotary_attention_keeps_its_positions(use):
    plain = attention.build("rotary", dims=8, heads=2, causal=use == "causal", base=50.0)
    module, x = layer(use, features=4, base=50.0).adopt(plain), torch.randn(2, 9, 8)
    q, k = plain.position(plain.split(plain.query(x)), plain.split(plain.key(x)), 0)
    s = q @ k.mT / 2
    a = 1 + s + s**2 / 2
    a = a.tril() if use == "causal" else a
    expected = a / a.sum(dim=-1, keepdim=True)
    assert_close(module(x, need_weights=True).weights, expected, **TOLERANCE)


def test_an_edit_is_done_while_decoding_whatever_the_width_of_keys():
    for features in (3, 16):  # to heads of 4
        module, x = layer("causal", features=features), torch.randn(2, 9, 8)
        module.edit = lambda weights: weights**2
        state = module.new_state()
        steps = [module(part, state=state).out for part in x.split((4, 1, 4), dim=1)]
        assert_close(torch.cat(steps, dim=1), module(x).out, **TOLERANCE)


@pytest.mark.parametrize("features", [4, 16])
def test_adopted_attention_is_the_series_of_its_own_scores(features):
    plain = attention.build("whisper", dims=8, heads=2)  # 4 columns a head
    module, x = layer(features=features).adopt(plain), torch.randn(2, 9, 8)
    s = plain.split(plain.query(x)) @ plain.split(plain.key(x)).mT / 2
    a = 1 + s + s**2 / 2
    expected = a / a.sum(dim=-1, keepdim=True)
    assert_close(module(x, need_weights=True).weights, expected, **TOLERANCE)
    assert torch.equal(module.value.weight, plain.value.weight)
    own = layer(features=features)
    own.value.weight.data.zero_()
    assert torch.equal(own.adopt(module)(x).out, module(x).out)


def test_of_wider_heads_the_greatest_singular_values_are_adopted():
    plain = attention.build("whisper", dims=12, heads=2)  # 6 columns a head
    module = layer(dims=12, features=2).adopt(plain)
    for h in range(2):
        ours, theirs = (
            torch.cat((m.query.weight, m.query.bias[:, None]), 1).unflatten(0, (2, -1))[h].mT
            @ m.key.weight.unflatten(0, (2, -1))[h]
            / width**0.5
            for m, width in ((module, 2), (plain, 6))
        )
        u, s, v = torch.linalg.svd(theirs)
        assert_close(ours, (u[:, :2] * s[:2]) @ v[:2], **TOLERANCE)


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"features: expected a positive number, given 0"):
        layer(features=0)
    with pytest.raises(ValueError, match=r"features: expected an even number .*, given 3"):
        layer(features=3, base=50.0)
