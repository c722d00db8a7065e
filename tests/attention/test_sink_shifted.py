"""Shifted groups with global first positions, against a loop over queries."""

from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.chosen import assert_is_rows, attend, masks
from tests.reference.compare import TOLERANCE

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"group": 5, "sinks": 2},
    "none": {"group": 16, "sinks": 0, "base": 100.0},
    "many": {"group": 3, "sinks": 7},
}

T = 19


def layer(causal=False, heads=2, **settings):
    torch.manual_seed(0)
    return attention.build("sink_shifted", dims=4 * heads, heads=heads, causal=causal, **settings)


@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize(("g", "sinks"), [(4, 4), (5, 1), (6, 0), (2, 9), (18, 2)])
def test_equals_the_loop(g, sinks, masked, causal):
    module = layer(causal, 3, group=g, sinks=sinks)

    def row(b, h, i, q, k, v, seen):
        edges = [0, *range(g // 2 if h >= 1 and g > 1 else 0, T, g), T]
        ((first, end),) = [(a, z) for a, z in pairwise(edges) if a <= i < z]
        keys = [j for j in seen if first <= j < end or j < sinks or i < sinks]
        return attend(q, k, v, keys)

    assert_is_rows(module, torch.randn(2, T, 12), None, masks(masked, T, T), row)


def test_no_group_joins_both_ends():
    """Where the shifted attention that it came from does."""
    x = torch.randn(1, 24, 8)
    settings = {"dims": 8, "heads": 2, "group": 6}
    joined = attention.build("shifted", **settings)(x, need_weights=True).weights
    parted = layer(group=6, sinks=0)(x, need_weights=True).weights
    assert joined[0, 1, 0, -1] > 0
    assert parted[0, 1, 0].nonzero().flatten().tolist() == [0, 1, 2]


def test_causal_and_without_sinks_it_is_shifted_attention():
    """There, the groups that join both ends are parted too."""
    x = torch.randn(2, 24, 8)
    shifted = attention.build("shifted", dims=8, heads=2, causal=True, group=6)
    module = layer(True, group=6, sinks=0).adopt(shifted)
    assert_close(module(x).out, shifted(x).out, **TOLERANCE)


def test_the_first_positions_see_all_and_are_seen_by_all():
    weights = layer(group=6)(torch.randn(1, 24, 8), need_weights=True).weights[0]
    assert weights[:, :4].gt(0).all()
    assert weights[:, :, :4].gt(0).all()
    assert not weights[:, 4:, 4:].gt(0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group": 0}, r"group: expected a positive number, given 0"),
        ({"sinks": -1}, r"sinks: expected zero or more, given -1"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
