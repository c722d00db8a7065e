"""Groups that half of the heads shift, against a loop over queries and against rolled sequences."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.chosen import assert_is_rows, attend, masks, projected
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"group": 5},
    "even": {"group": 16, "base": 100.0},
}

T = 19


def layer(causal=False, heads=2, **settings):
    torch.manual_seed(0)
    return attention.build("shifted", dims=4 * heads, heads=heads, causal=causal, **settings)


def group_of(i, n, g, rolled, causal):
    """The members of the group in which position i of n stands, listed and cut."""
    line = list(range(n))
    if rolled and not causal:
        line = line[g // 2 :] + line[: g // 2] if g // 2 < n else line
    elif rolled:
        first, line = line[: g // 2], line[g // 2 :]
        if i in first:
            return first
    return next(line[a : a + g] for a in range(0, len(line), g) if i in line[a : a + g])


@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("g", [4, 5, 18])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_equals_the_loop(heads, g, masked, causal):
    module = layer(causal, heads, group=g)
    mask = masks(masked, T, T)
    if masked == "pairs":
        mask[1, 0, : T // 3] = True  # so that the item's end is seen
    lengths = [T, T if masked == "none" else T // 3]

    def row(b, h, i, q, k, v, seen):
        if i >= lengths[b]:
            return 0 * q  # padding
        group = group_of(i, lengths[b], g, h >= heads // 2, causal)
        return attend(q, k, v, [j for j in seen if j in group])

    promised = torch.arange(T) < torch.tensor(lengths)[:, None]
    assert_is_rows(module, torch.randn(2, T, 4 * heads), None, mask, row, promised)


def by_rolling(module, x, hidden):
    """The published order of work: roll half of the heads, cut, attend, join, roll back."""
    g, H = module.config.group, module.heads
    q, k, v = projected(module, x)

    def cut(of):
        of = torch.cat((of[:, : H // 2], of[:, H // 2 :].roll(-(g // 2), dims=2)), dim=1)
        return of.unflatten(2, (-1, g))

    q, k, v = cut(q), cut(k), cut(v)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if hidden:
        scores = scores.masked_fill(torch.ones(g, g).triu(1).bool(), -torch.inf)
    out = (scores.softmax(dim=-1) @ v).flatten(2, 3)
    out = torch.cat((out[:, : H // 2], out[:, H // 2 :].roll(g // 2, dims=2)), dim=1)
    return module.out(out.transpose(1, 2).flatten(2))


def test_equals_the_published_order_of_work():
    module, x = layer(heads=4, group=6), torch.randn(2, 24, 16, requires_grad=True)
    leaves = {"x": x, **dict(module.named_parameters())}
    assert_same(module(x).out, by_rolling(module, x, False), leaves)


def test_causal_it_differs_from_the_released_code_where_that_sees_the_future():
    module, x = layer(True, heads=4, group=6), torch.randn(2, 24, 16)
    ours, theirs = module(x).out, by_rolling(module, x, True)
    assert_close(ours[:, 3:], theirs[:, 3:], **TOLERANCE)
    changed = x.clone()
    changed[:, -1] += 1
    assert not torch.allclose(ours[:, :3], theirs[:, :3], atol=1e-3)
    assert_close(module(changed).out[:, :3], ours[:, :3], **TOLERANCE)
    assert not torch.allclose(by_rolling(module, changed, True)[:, :3], theirs[:, :3], atol=1e-3)


def test_shifted_heads_bridge_the_groups_of_the_others():
    weights = layer(group=6)(torch.randn(1, 24, 8), need_weights=True).weights[0]
    reach = weights.gt(0)
    assert not reach[0, 5, 6]
    assert reach[1, 5, 6]
    assert reach.sum(dim=-1).eq(6).all()
    assert reach[1, 0].nonzero().flatten().tolist() == [0, 1, 2, 21, 22, 23]


@pytest.mark.parametrize("causal", [False, True])
def test_what_is_kept_for_the_backward_grows_with_the_length(causal):
    kept = {}
    for length in (300, 1200):
        total = 0

        def count(x):
            nonlocal total
            total += x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            layer(causal, group=16)(torch.randn(1, length, 8))
        kept[length] = total
    assert kept[1200] < 4.2 * kept[300]


@pytest.mark.parametrize("group", [0, -4])
def test_a_bad_setting_is_named(group):
    with pytest.raises(ValueError, match=rf"group: expected a positive number, given {group}"):
        layer(group=group)
