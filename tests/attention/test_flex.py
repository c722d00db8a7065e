"""The GPU's paths to windowed attention against the one that training on a CPU takes."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention.attention import flex
from focused_attention.attention.windows import distances, visible, window_attention

B, H, K = 2, 3, 16
CASES = {  # size, before, after, T: short and long of a tile, windows that cross tiles, a rest
    "one window": (8, 1, 1, 5),
    "windows": (8, 1, 1, 37),
    "back only": (16, 2, 0, 131),
    "tiles": (48, 1, 2, 300),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
every_bias = pytest.mark.parametrize("kind", ["no bias", "hides", "of items and heads"])


def arguments(case, kind):
    """q, k, v, bias, mask of a window attention, and its geometry as keywords."""
    size, before, after, T = case
    generator = torch.Generator().manual_seed(T)
    q, k, v = torch.randn(3, B, H, T, K, generator=generator).unbind()
    distance = distances(size, before, after, q.device)
    bias = {
        "no bias": None,
        "hides": torch.zeros(distance.shape).masked_fill(distance < 0, -torch.inf),
        "of items and heads": -distance.abs() * torch.rand(B, H, 1, 1, 1, generator=generator),
    }[kind]
    keys = torch.rand(B, T, generator=generator) > 0.3
    keys[1] = False  # an item without keys
    mask = visible(keys, T, size, before, after, q.device)
    return (q, k, v, bias, mask), {"size": size, "before": before, "after": after}


@every_case
@every_bias
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_sees_what_the_windows_see(case, kind):
    given, geometry = arguments(case, kind)
    expected, _ = window_attention(*given, **geometry)
    assert_close(flex.flex(*given, **geometry), expected, rtol=1e-4, atol=1e-5)


@every_case
@every_bias
def test_fused_attention_and_its_gradients_are_those_of_the_windows(case, kind):
    (q, k, v, bias, mask), geometry = arguments(case, kind)
    leaves = [x for x in (q, k, v, bias) if x is not None and x.isfinite().all()]
    for leaf in leaves:
        leaf.requires_grad_()
    expected, _ = window_attention(q, k, v, bias, mask, **geometry)
    out = flex.fused(q, k, v, bias, mask, **geometry)
    assert_close(out, expected, rtol=1e-4, atol=1e-5)
    ours, theirs = (
        torch.autograd.grad(x.square().sum(), leaves, retain_graph=True) for x in (out, expected)
    )
    for leaf, ours_, theirs_ in zip(leaves, ours, theirs, strict=True):
        assert_close(ours_, theirs_, rtol=1e-4, atol=1e-4, msg=f"{tuple(leaf.shape)}")


def test_tiles_without_a_window_are_skipped():
    geometry = {"size": 64, "before": 1, "after": 1, "device": torch.device("cpu")}
    mask = flex.tiles(12000, **geometry, inside=None)
    assert mask.kv_num_blocks.max() <= 3
    dense = mask.to_dense()[0, 0]
    assert dense.shape == (94, 94)
    assert dense.diagonal().all()
    assert not dense.triu(2).any()
    assert not dense.tril(-2).any()
