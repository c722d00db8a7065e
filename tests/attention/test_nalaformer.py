"""Norm-aware linear attention, against a loop over queries."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.metrics.sharpness import entropy
from tests.reference.compare import assert_same
from tests.reference.linear import EXACT, inputs, leaves_of, projected, walk
from tests.reference.published import turned

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "unrotated": {"base": None, "kernel": 3},
}


def layer(use="self", dims=8, heads=2, trained=True, **settings):
    torch.manual_seed(0)
    module = attention.build(
        "nalaformer", dims=dims, heads=heads, causal=use == "causal", cross=use == "cross",
        **settings,
    )  # fmt: skip
    if trained:
        for weights in (module.local.weight, module.local.bias, module.norm.weight):
            weights.data.normal_()
    return module.double()


def query_map(q):
    length = q.square().sum().sqrt()
    power = 3 * (0.5 + torch.tanh(length))
    return tuple((side.clamp(min=0) / length) ** power for side in (q, -q))


def by_loop(module, x, xa, mask):
    q, k, v = projected(module, x, xa)
    (B, T, D), H, S = x.shape, module.heads, k.shape[1]
    maps = [query_map(q[b, i, h]) for b in range(B) for i in range(T) for h in range(H)]
    phi_q = [torch.stack(half).view(B, T, H, -1) for half in zip(*maps, strict=True)]
    phi_k = [(k**3).clamp(min=0), (-(k**3)).clamp(min=0)]
    turn_q, turn_k = phi_q, phi_k
    if module.base is not None and xa is None:
        turn_q, turn_k = (
            [torch.stack([turned(item, module.base) for item in half]) for half in part]
            for part in (phi_q, phi_k)
        )

    def row(b, h, i, seen):
        below, above = 1e-6 * len(seen), 0
        for side in (0, 1):
            below = below + (phi_k[side][b, seen, h] @ phi_q[side][b, i, h]).sum()
            above = above + turn_k[side][b, seen, h] @ turn_q[side][b, i, h]
        return above @ v[b, seen, h] / below

    out = walk(module, x, xa, mask, row)
    if xa is None:
        values, size = v.flatten(2), module.config.kernel
        first = size - 1 if module.is_causal else size // 2
        near = []
        for b in range(B):
            for i in range(T):
                offsets = [
                    o for o in range(size)
                    if 0 <= i + o - first < S and (mask is None or mask[b, i + o - first])
                ]  # fmt: skip
                values_near = values[b, [i + o - first for o in offsets]]
                kernel = module.local.weight[:, 0, offsets].T
                near.append(module.local.bias + (kernel * values_near).sum(dim=0))
        out = out + torch.stack(near).view(B, T, D)
    centred = out - out.mean(dim=-1, keepdim=True)
    out = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    gate = x @ module.gate.weight.T + module.gate.bias
    out = (out * module.norm.weight + module.norm.bias) * gate / (1 + torch.exp(-gate))
    return module.out(out)


@pytest.mark.parametrize(
    ("use", "masked"),
    [(use, masked) for use in ("self", "causal") for masked in ("none", "keys", "late")]
    + [("cross", masked) for masked in ("none", "keys", "pairs")],
)
def test_equals_the_loop(use, masked):
    module, (x, xa, mask) = layer(use), inputs(use, masked)
    leaves, expected = leaves_of(module, x, xa), by_loop(module, x, xa, mask)
    for name in ("local.weight", "local.bias"):
        if use == "cross":
            leaves.pop(name)
    assert_same(module(x, xa, mask).out, expected, leaves, EXACT)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves, EXACT)


@pytest.mark.parametrize("settings", [{"base": None, "kernel": 3}, {"base": 7.0, "kernel": 1}])
def test_other_settings_equal_the_loop(settings):
    module, (x, _, _) = layer("causal", **settings), inputs("causal", "none")
    assert_same(module(x).out, by_loop(module, x, None, None), leaves_of(module, x), EXACT)


def test_a_longer_query_has_a_sharper_row():
    """What the source is for: plain features, as elu + 1, divide the length out."""
    module, x = layer(base=None, dims=32), torch.randn(2, 30, 32, dtype=torch.float64)
    module.query.bias.data.zero_()
    found = []
    for length in (0.05, 0.5, 5.0):
        module.temperature = 1 / length
        found.append(entropy(module(x, need_weights=True).weights).mean().item())
    assert found[0] > found[1] + 0.02
    assert found[1] > found[2] + 0.02


def test_only_the_numerator_is_rotated():
    module, plain = layer(base=50.0), layer(base=None)
    x = torch.randn(1, 20, 8, dtype=torch.float64)
    turned_rows, rows = (m(x, need_weights=True).weights for m in (module, plain.adopt(module)))
    assert_close(turned_rows.diagonal(dim1=-2, dim2=-1), rows.diagonal(dim1=-2, dim2=-1), **EXACT)
    assert_close(rows.sum(dim=-1), torch.ones_like(rows[..., 0]), rtol=0, atol=0.01)
    assert (turned_rows.sum(dim=-1) - 1).abs().max() > 0.1
    assert (rows >= 0).all()
    assert (turned_rows < 0).any()


def test_it_starts_without_the_convolution():
    module, x = layer(trained=False), torch.randn(1, 9, 8, dtype=torch.float64)
    module.edit = torch.zeros_like
    assert_close(module(x).out, module.out.bias.expand(1, 9, 8))
    module.local.weight.data.normal_()  # it is none of the weights that are edited
    assert not torch.allclose(module(x).out, module.out.bias.expand(1, 9, 8), atol=0.01)


def test_a_query_of_zeros_is_finite_with_finite_gradients():
    module, x = layer(trained=False), torch.randn(1, 9, 8, dtype=torch.float64)
    module.query.weight.data.zero_()
    module.query.bias.data.zero_()
    out = module(x).out
    assert out.isfinite().all()
    out.sum().backward()
    assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)


def test_a_mask_of_pairs_is_refused_where_values_are_convolved():
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    with pytest.raises(attention.UnsuitedError, match="NaLaAttention takes no mask of pairs"):
        layer()(x, mask=torch.ones(1, 5, 5, dtype=torch.bool))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel": 0}, r"kernel: expected a positive number, given 0"),
        ({"kernel": 4}, r"kernel: expected an odd number, given 4"),
        ({"base": -1.0}, r"base: expected a positive number, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
