"""Rows that are alike become their mean, against loops with SciPy's divergence."""

import numpy
import pytest
import torch
from scipy.stats import entropy
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import UnsuitedError
from focused_attention.attention.sparse.row_clusters import alike, distances
from tests.reference.chosen import by_rows, masks, projected
from tests.reference.compare import assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "fine": {"tau": 0.01, "base": 100.0},
    "finer": {"tau": 0.002},
}
S = 17


def layer(name="row_clusters", **settings):
    torch.manual_seed(0)
    return attention.build(name, dims=12, heads=3, **settings)


def far(p, r):
    return entropy(p, r) + entropy(r, p)


def gathered(rows, tau):
    """One round: from the first on, a row gathers what is like it and still free."""
    free, means = set(range(len(rows))), []
    for i in range(len(rows)):
        if i in free:
            mine = {j for j in free if j == i or far(rows[i], rows[j]) <= tau}
            means.append(numpy.mean([rows[j] for j in sorted(mine)], axis=0))
            free -= mine
    return means


def clusters_by_loop(rows, tau):
    """The nearest of the means that are left, of every row."""
    means = [
        numpy.mean([r for j, r in enumerate(rows) if j == i or far(p, r) <= tau], axis=0)
        for i, p in enumerate(rows)
    ]
    while True:
        merged = gathered(means, tau)
        if len(merged) == len(means):
            return [min(range(len(merged)), key=lambda c: far(merged[c], p)) for p in rows]
        means = merged


def drawn(n=30, S=9, sharp=1.0):
    logits = sharp * torch.randn(n, S, generator=torch.Generator().manual_seed(1))
    return logits.double().softmax(dim=-1)


def test_the_distance_is_both_divergences():
    p, r = drawn(5), drawn(7, sharp=3.0)
    expected = torch.tensor([[far(a, b) for b in r.numpy()] for a in p.numpy()])
    assert_close(distances(p, r), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("tau", [0.0, 0.3, 0.8, 1.0, 2.0, 50.0])
def test_clusters_are_those_of_the_loop(tau):
    rows = drawn()
    of = alike(rows, tau).tolist()
    expected = clusters_by_loop(rows.numpy(), tau)
    assert of == expected
    count = {0.0: 30, 50.0: 1}.get(tau)
    assert count is None or len(set(of)) == count


@pytest.mark.parametrize("masked", ["none", "keys"])
@pytest.mark.parametrize("tau", [0.02, 0.1, 1.0])
def test_equals_the_loop(tau, masked):
    module = layer(tau=tau).double()
    x, mask = torch.randn(2, S, 12).double(), masks(masked, S, S)
    q, k, _ = (part.detach() for part in projected(module, x))
    valid = [range(S)] * 2 if mask is None else [row.nonzero().flatten().tolist() for row in mask]
    of = []
    for b in (0, 1):
        mine = list(valid[b])
        rows = sum((q[b, h, mine] @ k[b, h, mine].mT / 2).softmax(dim=-1) for h in range(3)) / 3
        of.append(dict(zip(mine, clusters_by_loop(rows.numpy(), tau), strict=True)))
    assert len(set(of[0].values())) < S
    x.requires_grad_()
    asking = projected(module, x)[0]

    def row(b, h, i, q, k, v, seen):
        """Rows of padding are their own."""
        mine = [j for j in of[b] if of[b][j] == of[b].get(i)] or [i]
        rows = [(k[seen] @ asking[b, h, j] / 2).softmax(dim=0) for j in mine]
        return torch.stack(rows).mean(dim=0) @ v[seen]

    expected = by_rows(module, x, None, mask, row)
    leaves = {"x": x, **dict(module.named_parameters())}
    for need_weights in (False, True):
        assert_same(module(x, mask=mask, need_weights=need_weights).out, expected, leaves)


def test_positions_that_attend_alike_attend_the_same():
    """Two kinds of frames: as many rows."""
    module, kinds = layer(tau=0.05), torch.randn(2, 12)
    kind = torch.arange(20) % 2
    x = kinds[kind][None] + 0.01 * torch.randn(1, 20, 12)
    weights = module(3 * x, need_weights=True).weights[0, 0]
    assert len(weights.unique(dim=0)) == 2
    assert torch.equal(weights[0], weights[2])


def test_all_alike_is_one_row_and_none_is_plain_attention():
    x = torch.randn(1, 20, 12)
    plain = layer("whisper")
    rows = {tau: layer(tau=tau).adopt(plain)(x, need_weights=True).weights for tau in (0.0, 100.0)}
    shown = plain(x, need_weights=True).weights
    assert_close(rows[0.0], shown)
    assert_close(rows[100.0], shown.mean(dim=2, keepdim=True).expand_as(shown))


def test_a_temperature_moves_no_cluster():
    module, x = layer(tau=0.02), torch.randn(1, 20, 12)
    shown = []
    for temperature in (1.0, 0.3):
        module.temperature = temperature
        weights = module(x, need_weights=True).weights[0, 0]
        shown.append((weights[:, None] - weights).abs().amax(dim=-1) < 1e-6)
    assert torch.equal(*shown)
    assert 20 < shown[0].sum() < 400


def test_a_mask_of_pairs_is_refused():
    with pytest.raises(UnsuitedError, match="RowClusterAttention takes no mask of pairs"):
        layer()(torch.randn(1, 5, 12), mask=torch.ones(1, 5, 5, dtype=torch.bool))


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"tau: expected zero or more, given -1.0"):
        layer(tau=-1.0)
