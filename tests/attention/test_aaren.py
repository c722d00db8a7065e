"""Attention by one learned query, against plain loops over prefixes and the published scan."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import KeyValueCache, UnsuitedError
from focused_attention.attention.memory.aaren import CHUNK, prefixes, quotient
from tests.reference.compare import assert_same
from tests.reference.linear import EXACT, S, inputs, leaves_of, projected, seen_by

CASES = {"as it comes": {}}  # for test_every_mechanism.py

LONG = 2 * CHUNK + 13


def layer(use="causal", dims=8, heads=2):
    torch.manual_seed(0)
    module = attention.build("aaren", dims=dims, heads=heads, causal=use == "causal").double()
    module.token.data.mul_(3)
    return module


def mean(q, k, v):
    """Of the values (n, K), under one query's softmax."""
    return (k @ q / q.shape[0] ** 0.5).softmax(dim=0) @ v


def by_loop(module, x, mask):
    """Of what is up to a position from the left, and from the right, the mean of those that see."""
    (B, T, _), H = x.shape, module.heads
    _, k, v = projected(module, x)
    q, out = module.query(module.token).view(H, -1), []
    for b in range(B):
        for i in range(T):
            left = seen_by(i, b, T, T, mask, True)
            ahead = seen_by(i, b, T, T, mask, False)
            sides = [left] if module.is_causal else [left, [j for j in ahead if j >= i]]
            for h in range(H):
                means = [mean(q[h], k[b, js, h], v[b, js, h]) for js in sides if js]
                out.append(torch.stack(means).mean(dim=0) if means else 0 * q[h])
    return module.out(torch.stack(out).view(x.shape))


def ones_beside(v):
    return torch.cat((v, torch.ones_like(v[..., :1])), dim=-1)


def by_scan(s, v):
    """The paper's recurrence of (m, u, w) over one sequence: s (T,), v (T, K)."""
    m, u, w, out = s[0], torch.ones_like(s[0]), v[0], [v[0]]
    for t in range(1, len(s)):
        higher = torch.maximum(m, s[t])
        u = u * (m - higher).exp() + (s[t] - higher).exp()
        w = w * (m - higher).exp() + (s[t] - higher).exp() * v[t]
        m = higher
        out.append(w / u)
    return torch.stack(out), m, u


@pytest.mark.parametrize("masked", ["none", "keys", "late", "pairs"])
@pytest.mark.parametrize("use", ["self", "causal"])
def test_equals_a_loop_over_prefixes(use, masked):
    module, (x, _, mask) = layer(use), inputs(use, masked)
    leaves, expected = leaves_of(module, x), by_loop(module, x, mask)
    assert_same(module(x, mask=mask).out, expected, leaves, EXACT)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves, EXACT)


@pytest.mark.parametrize("T", [1, CHUNK, CHUNK + 1, LONG])
def test_spans_of_any_fill_are_the_published_scan(T):
    s, v = 10 * torch.randn(T, dtype=torch.float64), torch.randn(T, 3, dtype=torch.float64)
    s, v = s.requires_grad_(), v.requires_grad_()
    tops, sums = prefixes(s[None, None], ones_beside(v)[None, None])
    expected, m, u = by_scan(s, v)
    assert_same(quotient(sums)[0, 0], expected, {"s": s, "v": v}, EXACT)
    assert_close((tops[0, 0, -1], sums[0, 0, -1, -1]), (m, u), **EXACT)


def test_spans_of_spans_are_the_matrix_too():
    T = CHUNK**2 + 5
    s, v = torch.randn(1, 1, T, dtype=torch.float64), torch.randn(1, 1, T, 2, dtype=torch.float64)
    means = quotient(prefixes(s, ones_beside(v))[1])
    for i in (0, CHUNK, CHUNK**2 - 1, CHUNK**2, T - 1):
        seen = slice(0, i + 1)
        assert_close(means[0, 0, i], s[0, 0, seen].softmax(dim=0) @ v[0, 0, seen], **EXACT)


@pytest.mark.parametrize("spread", [1.0, 1e4])
def test_scores_far_apart_neither_overflow_nor_vanish(spread):
    s = (spread * torch.randn(1, 2, LONG)).requires_grad_()
    v = torch.randn(1, 2, LONG, 4)
    tops, sums = prefixes(s, ones_beside(v))
    means = quotient(sums)
    (grad,) = torch.autograd.grad(means.sum(), s)
    assert means.isfinite().all()
    assert grad.isfinite().all()
    assert torch.equal(tops, s.detach().cummax(dim=2).values)
    assert (sums[..., -1] >= 1).all()
    assert (means.abs().amax(dim=2) <= v.abs().amax(dim=2) + 1e-5).all()


@pytest.mark.parametrize("parts", [(1,) * 9, (CHUNK + 5, 1, 2, CHUNK, 1), (LONG,)], ids=len)
def test_streaming_is_the_whole_and_keeps_one_mean(parts):
    module, x = layer(), torch.randn(2, sum(parts), 8, dtype=torch.float64)
    state = module.new_state()
    steps = [module(part, state=state).out for part in x.split(parts, dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **EXACT)
    assert state.top.numel() + state.sums.numel() == 2 * 2 * (1 + 5)
    assert state.sums.untyped_storage().nbytes() == 8 * state.sums.numel()
    assert state.length == x.shape[1]


def test_streaming_with_masks_rows_and_weights():
    module, x, rows = layer(), torch.randn(2, 9, 8, dtype=torch.float64), torch.tensor([1, 1, 0])
    mask = torch.arange(9) >= torch.tensor([2, 7])[:, None]
    state, expected = module.new_state(), module(x, mask=mask, need_weights=True)
    state.reorder(rows)  # of nothing
    first = module(x[:, :6], mask=mask[:, :6], state=state, need_weights=True)
    assert_close(first.out, expected.out[:, :6], **EXACT)
    assert_close(first.weights, expected.weights[:, :, :6, :6], **EXACT)
    state.reorder(rows)
    for part in (slice(6, 8), slice(8, 9)):
        found = module(x[rows, part], mask=mask[rows, part], state=state, need_weights=True)
        assert_close(found.out, expected.out[rows, part], **EXACT)
        assert_close(found.weights, expected.weights[rows, :, part, part], **EXACT)
    module(x[rows, :1], state=state, need_weights=True)  # of one query without a mask


def test_an_edit_is_done_while_streaming_too():
    module, x = layer(), torch.randn(1, LONG, 8, dtype=torch.float64)
    module.edit = lambda weights: weights * weights.abs()
    state = module.new_state()
    assert isinstance(state, KeyValueCache)  # an edit needs every key
    steps = [module(part, state=state).out for part in x.split((LONG - 3, 1, 2), dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **EXACT)


def test_all_positions_ask_the_same():
    """The scores of a key are the same in all rows, but for what the row's sum divides by."""
    module, x = layer("self"), torch.randn(1, S, 8, dtype=torch.float64)
    weights = module(x, need_weights=True).weights
    assert (weights > 0).all()
    causal = layer()(x, need_weights=True).weights[0, 0]
    ratios = causal[20, :20] / causal[40, :20]
    assert_close(ratios, ratios[:1].expand(20), **EXACT)
    assert_close(module(x).out.flip(1), module(x.flip(1)).out, **EXACT)


def test_what_is_kept_for_the_backward_grows_with_the_length():
    for use in ("causal", "self"):
        kept = {}
        for T in (10 * CHUNK, 40 * CHUNK):
            total = 0

            def count(x):
                nonlocal total
                total += x.numel()
                return x

            with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
                layer(use)(torch.randn(1, T, 8, dtype=torch.float64))
            kept[T] = total
        assert kept[40 * CHUNK] < 4.2 * kept[10 * CHUNK], use


def test_what_a_state_of_prefixes_cannot_do_is_refused():
    module, x = layer(), torch.randn(1, 5, 8, dtype=torch.float64)
    state, pairs = module.new_state(), torch.ones(1, 5, 5, dtype=torch.bool)
    with pytest.raises(UnsuitedError, match="no single keys to edit, hide or see ahead"):
        module(x, mask=pairs, state=state)
    with pytest.raises(UnsuitedError, match="no single keys to edit, hide or see ahead"):
        layer("self")(x, state=state)
    module.edit = torch.zeros_like
    with pytest.raises(UnsuitedError, match="no single keys to edit, hide or see ahead"):
        module(x, state=state)
    assert state.length == 0
