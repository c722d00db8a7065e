"""Differential attention against a loop over queries, and what it is for."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "no positions": {"base": None},
}
USES = ["self", "causal", "cross"]


def layer(use="self", dims=16, heads=4, place=0, **settings):
    torch.manual_seed(0)
    where = {"causal": use == "causal", "cross": use == "cross", "layer": place}
    module = attention.build("differential", dims=dims, heads=heads, **where, **settings)
    with torch.no_grad():
        module.lambdas.mul_(4)  # exp(λ_q · λ_k) is well away from 1
        module.gain.add_(0.3 * torch.randn_like(module.gain))
    return module


def padding(lengths, S):
    return torch.arange(S) < torch.tensor(lengths)[:, None]


def turned(x, at, base):
    """A vector (K,) with its pairs (i, i + K / 2) rotated by its position."""
    half = len(x) // 2
    out = [None] * len(x)
    for i in range(half):
        angle = at * base ** (-i / half)
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i] * math.sin(angle) + x[i + half] * math.cos(angle)
    return torch.stack(out)


def by_loop(module, x, xa, mask, place):
    """One query of one pair at a time, from the projections on."""
    source = x if xa is None else xa
    (B, T, D), S, K = x.shape, source.shape[1], x.shape[2] // module.heads
    start = 0.8 - 0.6 * math.exp(-0.3 * place)
    q1, k1, q2, k2 = module.lambdas
    lam = torch.exp(q1 @ k1) - torch.exp(q2 @ k2) + start
    queries, keys, values = module.query(x), module.key(source), module.value(source)
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [
                j for j in range(S)
                if (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
                and not (module.is_causal and j > i)
            ]  # fmt: skip
            joined = []
            for first in range(0, D, 2 * K):  # the first column of a pair
                total = torch.zeros(2 * K, dtype=x.dtype)
                for column, factor in ((first, 1.0), (first + K, -lam)):
                    scores = []
                    for j in seen:
                        query, key = (
                            part[column : column + K] for part in (queries[b, i], keys[b, j])
                        )
                        if module.base is not None and xa is None:
                            query = turned(query, i, module.base)
                            key = turned(key, j, module.base)
                        scores.append(query @ key / math.sqrt(K))
                    if seen:
                        weights = factor * torch.stack(scores).softmax(dim=0)
                        total = total + weights @ values[b, seen, first : first + 2 * K]
                size = torch.sqrt((total**2).mean() + 1e-5)
                joined.append((1 - start) * module.gain * total / size)
            rows.append(torch.cat(joined))
    return module.out(torch.stack(rows).view(B, T, D))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize(("place", "base"), [(0, 100.0), (3, None)])
def test_equals_the_loop_forward_and_backward(place, base, masked, use):
    module = layer(use, place=place, base=base)
    S, T = 7, 3 if use == "cross" else 7
    x = torch.randn(2, T, 16, requires_grad=True)
    xa = torch.randn(2, S, 16, requires_grad=True) if use == "cross" else None
    mask = {
        "none": None,
        "keys": padding((S, 4), S),
        "pairs": (torch.rand(2, T, S) < 0.7) & padding((S, 4), S)[:, None],
    }[masked]
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    expected = by_loop(module, x, xa, mask, place)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("place", [0, 1, 5])
def test_the_rows_of_a_pair_add_up_to_one_less_lambda_and_may_be_negative(place):
    module = layer(place=place)
    weights = module(torch.randn(2, 11, 16), need_weights=True).weights
    lam = -module.signs()[1]
    assert_close(weights.sum(dim=-1)[0, :, 0], torch.stack((torch.tensor(1.0), -lam)).repeat(2))
    differential = weights[:, 0::2] + weights[:, 1::2]
    assert_close(differential.sum(dim=-1), (1 - lam).expand(2, 2, 11), **TOLERANCE)
    assert differential.min() < 0


def test_lambda_starts_as_its_layer_says():
    """0.2, 0.36, ...: the vectors of width 64 start small, so that their part is about 0."""
    for place, expected in enumerate((0.2, 0.3555, 0.4707, 0.5561)):
        torch.manual_seed(place)
        module = attention.build("differential", dims=256, heads=4, layer=place)
        assert module.start == pytest.approx(expected, abs=1e-4)
        assert -module.signs()[1].item() == pytest.approx(expected, abs=0.5)
        with torch.no_grad():
            module.lambdas.zero_()
        assert -module.signs()[1].item() == pytest.approx(expected, abs=1e-4)


def test_what_both_heads_of_a_pair_see_is_taken_away():
    """A key that both heads of a pair look at loses its weight, one that only the first sees not.

    Here λ = 0.8 and K = 2; key 3 calls for both heads, key 5 for the first one alone.
    """
    module = layer(dims=4, heads=2, place=10**6, base=None)
    with torch.no_grad():
        module.lambdas.zero_()
        for part in (module.query, module.key):
            part.weight.copy_(torch.eye(4))
        module.query.bias.zero_()
    x = torch.zeros(1, 9, 4)
    x[0, 0] = 8.0  # the query
    x[0, 3] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    x[0, 5] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    mask = torch.arange(9)[None] > 0
    weights = module(x, mask=mask, need_weights=True).weights[0, :, 0]
    first, both = weights[0], weights.sum(dim=0)
    assert_close(first[3], first[5])
    assert both[5] > 0.45
    assert both[3] < 0


def test_a_pair_is_two_neighbours_of_the_list_of_heads():
    """Not two halves of every head, nor heads h and h + H / 2."""
    module, x = layer(), torch.randn(1, 9, 16)
    weights = module(x, need_weights=True).weights

    def pairs():
        """Per pair, its output before the output projection."""
        with torch.no_grad():
            module.out.weight.copy_(torch.eye(16))
            module.out.bias.zero_()
        return module(x).out.unflatten(-1, (2, 8))

    before = pairs()
    with torch.no_grad():
        module.key.weight[4:8] += 1.0  # head 1
    after = pairs()
    assert not torch.allclose(before[:, :, 0], after[:, :, 0], atol=1e-3)
    assert torch.equal(before[:, :, 1], after[:, :, 1])
    changed = module(x, need_weights=True).weights
    assert [torch.equal(weights[:, h], changed[:, h]) for h in range(4)] == [
        True,
        False,
        True,
        True,
    ]


def test_an_edit_meets_the_weights_with_their_sign():
    module, x = layer(), torch.randn(2, 9, 16)
    rows = []
    module.edit = lambda given: rows.append(given) or given.clamp(min=0)
    out = module(x).out
    assert rows[0][:, 1::2].max() < 0
    module.edit = lambda given: given * torch.tensor([1.0, 0.0, 1.0, 0.0])[:, None, None]
    assert_close(module(x).out, out)  # the first heads alone


def test_bfloat16_and_a_wide_gap_of_scores_are_finite():
    module = layer().to(torch.bfloat16)
    x = (100 * torch.randn(2, 9, 16)).to(torch.bfloat16)
    out = module(x).out
    assert out.dtype == torch.bfloat16
    assert out.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 1}, r"heads: expected an even number \(they are pairs\), given 1"),
        ({"eps": 0.0}, r"eps: expected a positive number, given 0.0"),
        ({"base": -1.0}, r"base: expected a positive number, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
