"""Attention among what is near to a centroid, against loops over centroids and queries."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.chosen import assert_is_rows, attend, masks, projected
from tests.reference.compare import TOLERANCE

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"clusters": 4, "window": 5},
    "one": {"clusters": 1, "window": 11, "base": 100.0},
    "many": {"clusters": 9, "window": 3},
}

USES = ["self", "causal", "cross"]
S, TEXT = 23, 6


def layer(use="self", **settings):
    torch.manual_seed(0)
    module = attention.build(
        "routing", dims=12, heads=3, causal=use == "causal", cross=use == "cross", **settings
    )
    return module.eval()


def inputs(use):
    T = TEXT if use == "cross" else S
    return torch.randn(2, T, 12), torch.randn(2, S, 12) if use == "cross" else None, T


def highest(scores, n):
    return sorted(scores, key=scores.get, reverse=True)[:n]


def by_clusters(module, use, q, k, valid):
    """One row of `published` routing: the mean of what the centroids that took the query find.

    `valid` are the keys of every item that are no padding.
    """
    w, C = module.config.window, module.config.clusters

    def near(x, b, h, j, c):
        return (F.normalize(x[b, h, j], dim=0) @ module.means[h, c]).item()

    def home(x, b, h, j):
        return max(range(C), key=lambda c: near(x, b, h, j, c))

    def row(b, h, i, query, keys, values, seen):
        if use == "causal":
            own = home(k, b, h, i)
            mine = [j for j in range(i + 1) if home(k, b, h, j) == own][-w:]
            return attend(query, keys, values, [j for j in mine if j in seen])
        took = {c: highest({j: near(k, b, h, j, c) for j in valid[b]}, w) for c in range(C)}
        if use == "self" and i not in valid[b]:
            return 0 * query  # padding
        if use == "cross":
            mine = took[home(q, b, h, i)]
            return attend(query, keys, values, [j for j in mine if j in seen])
        found = [
            attend(query, keys, values, [j for j in took[c] if j in seen])
            for c in range(C)
            if i in highest({t: near(q, b, h, t, c) for t in valid[b]}, w)
        ]
        return torch.stack(found).mean(dim=0) if found else 0 * query

    return row


@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize(("clusters", "window"), [(1, 4), (3, 4), (5, 2), (2, 40)])
@pytest.mark.parametrize("use", USES)
def test_equals_the_loop(use, clusters, window, masked):
    module, (x, xa, T) = layer(use, clusters=clusters, window=window), inputs(use)
    mask = masks(masked, T, S)
    keys = torch.ones(2, S).bool() if mask is None else mask if mask.ndim == 2 else mask.any(dim=1)
    valid = [keys[b].nonzero().flatten().tolist() for b in (0, 1)]
    q, k, _ = (part.detach() for part in projected(module, x, xa))
    promised = keys if use == "self" else None
    assert_is_rows(module, x, xa, mask, by_clusters(module, use, q, k, valid), promised)


def test_a_query_reads_what_its_centroid_took():
    """Two kinds of frames, far apart: each attends to its own kind."""
    module, kind = layer(clusters=2, window=10), torch.arange(20) % 2
    with torch.no_grad():
        for part in (module.query, module.key):
            part.weight.copy_(torch.eye(12))
        module.query.bias.zero_()
        towards = torch.randn(2, 3, 4)
        module.means.copy_(F.normalize(towards, dim=-1).transpose(0, 1))
    x = towards.flatten(1)[kind] + 0.05 * torch.randn(20, 12)
    weights = module(x[None], need_weights=True).weights[0]
    assert weights.gt(0).eq(kind[:, None] == kind).all()
    assert_close(weights.sum(dim=-1), torch.ones(3, 20))


def test_what_no_centroid_takes_gets_nothing_and_what_two_take_gets_their_mean():
    module, x = layer(clusters=3, window=5), torch.randn(1, S, 12)
    weights = module(x, need_weights=True).weights
    sums = weights.sum(dim=-1)
    assert 0 < sums.gt(0.5).sum() <= 3 * 3 * 5
    assert (sums == 0).any()
    assert_close(sums, sums.round(), **TOLERANCE)


def test_the_published_selection_sees_the_future_and_the_causal_one_does_not():
    """Which queries a centroid takes of a whole sequence depends on the last of them."""
    x = torch.randn(1, S, 12)
    for use, same in (("self", False), ("causal", True)):
        module, changed = layer(use, clusters=3, window=5), x.clone()
        before = module(x, need_weights=True).weights[..., :-1, :-1]
        changed[:, -1] = 5 * torch.randn(12)
        after = module(changed, need_weights=True).weights[..., :-1, :-1]
        assert torch.equal(before > 0, after > 0) == same


def test_centroids_move_in_training_alone():
    module, x = layer(clusters=4, window=5), torch.randn(2, S, 12)
    means = module.means.clone()
    assert module(x).losses == {}
    assert torch.equal(module.means, means)
    module.train()(x)
    placed = module.means.clone()
    assert not torch.allclose(placed, means, atol=0.1)
    module(torch.randn(2, S, 12))
    moved = (module.means - placed).norm() / placed.norm()
    assert 0 < moved < 0.01
    module.eval()(x)
    state = layer(clusters=4, window=5)
    state.load_state_dict(module.state_dict())
    assert torch.equal(state(x).out, module(x).out)


def test_centroids_follow_the_tokens_that_are_nearest():
    module, x = layer(clusters=4, window=5, decay=0.9).train(), torch.randn(2, S, 12)
    mask = torch.arange(S) < torch.tensor([[S], [9]])
    module(x, mask=mask)
    means = module.means.clone()
    output = module(x, mask=mask)
    q, k, _ = (part.detach() for part in projected(module, x))
    loss, expected = [], torch.zeros_like(means)
    for h in range(3):
        tokens = [part[b, h, j] for part in (q, k) for b in (0, 1) for j in range((S, 9)[b])]
        tokens = [token / token.norm() for token in tokens]
        own = [max(range(4), key=lambda c, t=t: (t @ means[h, c]).item()) for t in tokens]
        for c in range(4):
            total = sum(t for t, o in zip(tokens, own, strict=True) if o == c)
            new = total / total.norm() if c in own else means[h, c]
            expected[h, c] = 0.9 * means[h, c] + 0.1 * new
        loss += [(t - means[h, o]).square().mean() for t, o in zip(tokens, own, strict=True)]
    assert_close(module.means, expected, **TOLERANCE)
    assert_close(output.losses["commitment"], 1e-4 * torch.stack(loss).mean(), rtol=1e-5, atol=1e-9)


def test_k_means_places_centroids_in_what_there_is():
    module = layer(clusters=2, window=5).train()
    kinds = torch.randn(2, 12)
    module(kinds[torch.arange(40) % 2][None] + 0.01 * torch.randn(1, 40, 12))
    assert_close(module.means.norm(dim=-1), torch.ones(3, 2), rtol=0, atol=0.01)


def test_the_loss_draws_tokens_to_their_centroids():
    module, x = layer(clusters=3, window=5, commitment=1.0).train(), torch.randn(2, S, 12)
    x.requires_grad_()
    loss = module(x).losses["commitment"]
    loss.backward()
    assert module.query.weight.grad.abs().sum() > 0
    assert module.value.weight.grad is None
    nothing = module(x, mask=torch.zeros(2, S, dtype=torch.bool)).losses["commitment"]
    assert nothing == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clusters": 0}, r"clusters: expected a positive number, given 0"),
        ({"window": -1}, r"window: expected a positive number, given -1"),
        ({"decay": 1.0}, r"decay: expected a number below 1, given 1.0"),
        ({"decay": -0.1}, r"decay: expected zero or more, given -0.1"),
        ({"commitment": -1.0}, r"commitment: expected zero or more, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
