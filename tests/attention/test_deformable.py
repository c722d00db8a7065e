"""Points between frames, against a sum of tents over all frames and against grid_sample."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.rows import MASKS, inputs, seen_by

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "two": {"points": 2},
    "many": {"points": 9},
}
USES = ["self", "cross"]


def layer(use="self", drawn=True, heads=2, **settings):
    torch.manual_seed(0)
    module = attention.build(
        "deformable", dims=8 * heads, heads=heads, cross=use == "cross", **settings
    )
    if drawn:  # at the start, all queries place their points alike
        for part in (module.query, module.offsets, module.reference):
            torch.nn.init.normal_(part.weight, std=0.3)
    return module


def points(module, x, xa, mask):
    """Positions and weights (B, H, T, P) of the points, from the parameters."""
    H, T, S = module.heads, x.shape[1], (x if xa is None else xa).shape[1]
    a, delta = (
        (x @ part.weight.T + part.bias).unflatten(-1, (H, -1)).transpose(1, 2)
        for part in (module.query, module.offsets)
    )
    rows = []
    for b in range(len(x)):
        for i in range(T):
            seen = seen_by(i, b, T, S, mask, False) or [0]
            share = torch.sigmoid(x[b, i] @ module.reference.weight[0] + module.reference.bias[0])
            first, last = min(seen), max(seen)
            rows.append(i + 0 * share if xa is None else first + (last - first) * share)
    return torch.stack(rows).view(len(x), 1, T, 1) + delta, a.softmax(dim=-1)


def by_tents(module, x, xa, mask):
    """A frame j weighs max(0, 1 − |p − j|) at a point p."""
    source = x if xa is None else xa
    place, a = points(module, x, xa, mask)
    v = module.value(source).unflatten(-1, (module.heads, -1))
    (B, H, T, P), S = place.shape, source.shape[1]
    rows = []
    for b in range(B):
        for i in range(T):
            seen = seen_by(i, b, T, S, mask, False)
            for h in range(H):
                row = 0 * v[b, 0, h]
                for p in range(P):
                    near = (1 - (place[b, h, i, p] - torch.tensor(seen)).abs()).clamp(min=0)
                    row = row + a[b, h, i, p] * (near @ v[b, seen, h])
                rows.append(row)
    return module.out(torch.stack(rows).view(B, T, -1))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
def test_equals_the_sum_of_tents(masked, use):
    module = layer(use, points=3)
    x, xa, mask = inputs(use, masked, 16)
    leaves = {"x": x.requires_grad_(), **dict(module.named_parameters())}
    if xa is not None:
        leaves["xa"] = xa.requires_grad_()
    expected = by_tents(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("use", USES)
def test_equals_grid_sample(use):
    module = layer(use)
    x, xa, _ = inputs(use, "none", 16)
    source = x if xa is None else xa
    leaves = {"x": x.requires_grad_(), **dict(module.named_parameters())}
    place, a = points(module, x, xa, None)
    v = module.split(module.value(source)).flatten(0, 1).mT[:, :, None]  # (B H, K, 1, S)
    grid = 2 * place.flatten(0, 1) / (source.shape[1] - 1) - 1
    grid = torch.stack((grid, torch.zeros_like(grid)), dim=-1)  # (B H, T, P, 2)
    found = F.grid_sample(v, grid, padding_mode="zeros", align_corners=True)  # (B H, K, T, P)
    out = (found.unflatten(0, (2, 2)) * a[:, :, None]).sum(dim=-1)  # (B, H, K, T)
    expected = module.out(out.permute(0, 3, 1, 2).flatten(2))
    assert_same(module(x, xa).out, expected, leaves)


def test_points_start_one_after_the_other_on_a_side_of_each_head():
    module = layer(drawn=False, heads=4, points=3)
    rows = module(torch.randn(1, 11, 32), need_weights=True).weights[0, :, 5]
    for h, expected in enumerate(([2, 3, 4], [6, 7, 8]) * 2):
        assert rows[h].nonzero().flatten().tolist() == expected
        assert_close(rows[h, expected], torch.full((3,), 1 / 3), rtol=0, atol=0.1)


def test_what_is_outside_or_hidden_gives_nothing():
    module = layer(drawn=False, heads=2, points=4)
    rows = module(torch.randn(1, 11, 16), need_weights=True).weights[0]
    assert_close(rows[0, 2].sum(), torch.tensor(0.5), rtol=0, atol=0.1)
    assert rows[0, 0].abs().max() == 0
    mask = torch.arange(11)[None] != 4
    rows = module(torch.randn(1, 11, 16), mask=mask, need_weights=True).weights[0]
    assert rows[:, :, 4].abs().max() == 0
    assert_close(rows[0, 6].sum(), torch.tensor(0.75), rtol=0, atol=0.05)


@pytest.mark.parametrize("far", [1e3, 1e9, -1e9])
def test_points_far_outside_are_finite(far):
    module = layer(points=1)
    torch.nn.init.constant_(module.offsets.bias, far)
    x = torch.randn(1, 9, 16, requires_grad=True)
    out = module(x).out
    assert_close(out, module.out.bias.expand(1, 9, -1), **TOLERANCE)
    out.sum().backward()
    assert x.grad.isfinite().all()


def test_offsets_learn_where_a_frame_is():
    """A point that is to give what stands three frames ahead moves there, by its slopes alone."""
    torch.manual_seed(0)
    module = attention.build("deformable", dims=4, heads=1, points=1)
    for part in (module.value, module.out):
        torch.nn.init.eye_(part.weight)
        torch.nn.init.zeros_(part.bias)
    x = torch.linspace(0, 3, 40)[None, :, None] + torch.tensor([0.0, 1.0, 2.0, 3.0])
    optimiser = torch.optim.Adam([module.offsets.bias], lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        (module(x).out[:, 5:-5] - x[:, 8:-2]).square().sum().backward()
        optimiser.step()
    assert module.offsets.bias.item() == pytest.approx(3, abs=0.05)


def test_the_way_is_as_long_as_what_is_seen():
    module, x, xa = layer("cross"), torch.randn(1, 3, 16), torch.randn(1, 20, 16)
    alone = module(x, xa[:, 4:15]).out
    mask = (torch.arange(20)[None] >= 4) & (torch.arange(20)[None] < 15)
    assert_close(module(x, xa, mask).out, alone, **TOLERANCE)


def test_of_plain_attention_it_adopts_values_and_output_and_of_its_like_all():
    source, module, x = layer("cross"), layer("cross", drawn=False), torch.randn(1, 9, 16)
    plain = attention.build("whisper", dims=16, heads=2)
    own = module.query.weight.clone()
    module.adopt(plain)
    assert torch.equal(module.query.weight, own)
    assert all(
        torch.equal(*(getattr(of, part).weight for of in (module, plain)))
        for part in ("value", "out")
    )
    assert torch.equal(module.adopt(source)(x, x).out, source(x, x).out)


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"points: expected a positive number, given 0"):
        layer(points=0)
