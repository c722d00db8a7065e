"""A pointer at segments that know where they are, against a loop over queries and segments."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import UnsuitedError
from tests.reference.chosen import by_rows, masks
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.segments import attend_to_segments, cut_by_loop

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "split": {"classes": 5, "quantile": 0.9, "longest": 3},
}
USES = ["self", "cross"]
S, TEXT = 19, 5


def layer(use="cross", name="segment_pointer", placed=True, **settings):
    torch.manual_seed(0)
    module = attention.build(name, dims=12, heads=3, cross=use == "cross", **settings)
    if placed and name == "segment_pointer":  # at the start, segments have no places
        torch.nn.init.normal_(module.place.weight)
    return module


def place(module, frames):
    """e of a segment of some frames, (3, K)."""
    centre, sines, cosines = sum(frames) / len(frames), [], []
    for wave in range(16):
        angle = centre * 10000 ** (-wave / 15)
        sines.append(math.sin(angle))
        cosines.append(math.cos(angle))
    told = torch.tensor([*sines, *cosines, math.log(len(frames))], dtype=torch.float64)
    return (module.place.weight @ told).unflatten(0, (3, -1))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys"])
@pytest.mark.parametrize("settings", [{}, {"quantile": 0.9, "longest": 4}], ids=str)
def test_equals_the_loop(settings, masked, use):
    module = layer(use, **settings).double()
    T = TEXT if use == "cross" else S
    x = torch.randn(2, T, 12).double().requires_grad_()
    leaves = {"x": x, **dict(module.named_parameters())}
    xa = None
    if use == "cross":
        leaves["xa"] = xa = torch.randn(2, S, 12).double().requires_grad_()
    mask, source = masks(masked, T, S), x if xa is None else xa
    p = (source @ module.classify.weight.T + module.classify.bias).softmax(dim=-1)
    entropies = -(p * p.log()).sum(dim=-1)
    valid = [range(S)] * 2 if mask is None else [row.nonzero().flatten().tolist() for row in mask]
    config, of, shares, places = module.config, [], [], []
    for b in (0, 1):
        mine = list(valid[b])
        of.append(cut_by_loop(entropies[b, mine].tolist(), config.quantile, config.longest))
        segments = [[n for n, s in enumerate(of[b]) if s == c] for c in range(max(of[b]) + 1)]
        sure = (-entropies[b, mine]).exp()
        shares.append(torch.cat([sure[ns] / sure[ns].sum() for ns in segments]))
        places.append([place(module, [mine[n] for n in ns]) for ns in segments])
    assert len(places[0]) > 3

    def row(b, h, i, q, k, v, seen):
        own = [e[h] for e in places[b]]
        return attend_to_segments(q, k[seen], v[seen], of[b], shares[b], own)

    expected = by_rows(module, x, xa, mask, row)
    for need_weights in (False, True):
        assert_same(module(x, xa, mask, need_weights=need_weights).out, expected, leaves)


def test_at_the_start_segments_have_no_places_and_frames_alone_are_plain_attention():
    module = layer(placed=False, longest=1)
    plain = layer(name="whisper")
    x, xa = torch.randn(2, 4, 12), torch.randn(2, 30, 12)
    assert_close(module.adopt(plain)(x, xa).out, plain(x, xa).out, **TOLERANCE)


def test_places_tell_segments_of_the_same_frames_apart():
    """Audio that repeats itself: what it says is the same, and where is not."""
    xa = torch.randn(1, 10, 12).repeat(1, 4, 1)
    ratio = []
    for placed in (False, True):
        module = layer(placed=placed, quantile=1.0, longest=10)
        weights = module(torch.randn(1, 3, 12), xa, need_weights=True).weights
        ratio.append((weights[..., :10] / weights[..., 10:20] - 1).abs().max().item())
    assert ratio[0] < 1e-5 < 0.1 < ratio[1]


def test_a_longer_segment_weighs_more_until_its_duration_tells():
    module = layer(placed=False, quantile=0.9)
    xa = torch.randn(1, 1, 12).expand(1, 20, 12).contiguous()
    weights = module(torch.randn(1, 3, 12), xa, need_weights=True).weights
    assert_close(weights, torch.full_like(weights, 1 / 20))


def test_a_head_that_is_sure_of_all_frames_has_finite_gradients():
    module, xa = layer(), torch.randn(1, 30, 12, requires_grad=True)
    torch.nn.init.normal_(module.classify.weight, std=500.0)
    module(torch.randn(1, 3, 12), xa).out.square().sum().backward()
    assert xa.grad.isfinite().all()
    assert module.classify.weight.grad.isfinite().all()


def test_what_classifies_frames_learns_through_their_share_alone():
    module, xa = layer(), torch.randn(1, 30, 12)
    module(torch.randn(1, 3, 12), xa).out.square().sum().backward()
    assert module.classify.weight.grad.abs().sum() > 0
    alone = layer(longest=1)
    alone(torch.randn(1, 3, 12), xa).out.square().sum().backward()
    assert alone.classify.weight.grad.abs().max() < 1e-7


def test_sure_frames_count_more_in_their_segment():
    module, xa = layer(quantile=1.0), torch.randn(1, 30, 12)
    p = module.classify(xa).softmax(dim=-1)
    entropies = torch.special.entr(p).sum(dim=-1)[0]
    weights = module(torch.randn(1, 1, 12), xa, need_weights=True).weights[0, 0, 0]
    assert torch.equal(weights.argsort(descending=True), entropies.argsort())
    assert_close(weights, (-entropies).softmax(dim=0), **TOLERANCE)


def test_a_mask_of_pairs_is_refused():
    with pytest.raises(UnsuitedError, match="SegmentPointer takes no mask of pairs"):
        layer()(torch.randn(1, 5, 12), mask=torch.ones(1, 5, 5, dtype=torch.bool))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantile": -0.5}, r"quantile: expected a share, 0 to 1, given -0.5"),
        ({"longest": 0}, r"longest: expected a positive number, given 0"),
        ({"classes": 0}, r"classes: expected a positive number, given 0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
