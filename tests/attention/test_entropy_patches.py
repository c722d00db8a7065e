"""Patches that end where rows are least certain, against a loop over queries and patches."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import UnsuitedError
from focused_attention.attention.segments import Segments
from tests.reference.chosen import assert_is_rows, masks, projected
from tests.reference.compare import TOLERANCE
from tests.reference.segments import attend_to_segments, cut_by_loop

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "long": {"quantile": 0.95, "base": 100.0},
    "split": {"quantile": 0.9, "longest": 3},
}
S = 19


def layer(name="entropy_patches", **settings):
    torch.manual_seed(0)
    return attention.build(name, dims=12, heads=3, **settings)


def patches(module, q, k, mine):
    """The patches of frames `mine` of an item, from the entropies of their plain rows."""
    entropies = []
    for i in mine:
        rows = [(k[h, mine] @ q[h, i] / 2).softmax(dim=0) for h in range(3)]
        entropies.append(sum(-(row * row.log()).sum() for row in rows).item())
    return cut_by_loop(entropies, module.config.quantile, module.config.longest)


@pytest.mark.parametrize("masked", ["none", "keys"])
@pytest.mark.parametrize(("quantile", "longest"), [(0.75, None), (0.9, 2), (0.5, 1)])
def test_equals_the_loop(quantile, longest, masked):
    module = layer(quantile=quantile, longest=longest).double()
    x, mask = 2 * torch.randn(2, S, 12).double(), masks(masked, S, S)
    q, k, _ = projected(module, x)
    valid = [range(S)] * 2 if mask is None else [row.nonzero().flatten().tolist() for row in mask]
    of = [patches(module, q[b], k[b], list(valid[b])) for b in (0, 1)]
    assert len(set(of[0])) > 3

    def row(b, h, i, q, k, v, seen):
        shares = torch.tensor([1 / of[b].count(p) for p in of[b]], dtype=q.dtype)
        return attend_to_segments(q, k[seen], v[seen], of[b], shares)

    assert_is_rows(module, x, None, mask, row)


def test_a_patch_ends_with_the_least_certain_rows():
    module, x = layer(), torch.randn(1, 41, 12)
    weights = layer("whisper").adopt(module)(x, need_weights=True).weights[0]
    entropies = torch.special.entr(weights).sum(dim=-1).mean(dim=0)
    of = module.segments(x).of[0]
    ends = of.diff() == 1
    assert ends.sum() in (9, 10)  # a quarter of 40, or the last frame is one of them
    assert entropies[:-1][ends].min() > entropies[:-1][~ends].max()


def test_the_frames_of_a_patch_weigh_alike():
    module, x = layer(), torch.randn(1, 41, 12)
    of, weights = module.segments(x).of[0], module(x, need_weights=True).weights[0]
    same = weights[..., 1:] == weights[..., :-1]
    assert torch.equal(same.all(dim=0).all(dim=0), of.diff() == 0)


def test_patches_of_equal_frames_are_plain_attention():
    """log n: a long patch weighs what its frames would."""
    of = torch.arange(6).repeat_interleave(torch.tensor([1, 4, 2, 1, 5, 3]))[None]
    module, x = layer(), torch.randn(1, 6, 12)[:, of[0]]
    module.patches = lambda q, k, view: Segments.build(of, of >= 0)
    assert_close(module(x).out, layer("whisper").adopt(module)(x).out, **TOLERANCE)


def test_no_gradient_flows_through_the_boundaries():
    module, x = layer(), torch.randn(1, 20, 12, requires_grad=True)
    assert not module.segments(x).share.requires_grad


def test_a_temperature_moves_no_boundary():
    module, x = layer(), torch.randn(1, 41, 12)
    before = module.segments(x).of
    module.temperature = 0.3
    assert torch.equal(module.segments(x).of, before)


def test_a_mask_of_pairs_is_refused():
    with pytest.raises(UnsuitedError, match="EntropyPatchAttention takes no mask of pairs"):
        layer()(torch.randn(1, 5, 12), mask=torch.ones(1, 5, 5, dtype=torch.bool))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantile": 1.5}, r"quantile: expected a share, 0 to 1, given 1.5"),
        ({"longest": 0}, r"longest: expected a positive number, given 0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
