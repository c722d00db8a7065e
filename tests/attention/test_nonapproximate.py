"""Attention without pairs, against a loop over queries."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import UnsuitedError
from focused_attention.attention.softmax import nonapproximate
from tests.reference.compare import TOLERANCE, assert_same

CASES = {"as it comes": {}}  # for test_every_mechanism.py

D, H = 8, 2


def layer(causal=False, seed=0):
    torch.manual_seed(seed)
    return attention.build("nonapproximate", dims=D, heads=H, causal=causal)


def masks(kind, T):
    keys = torch.arange(T) < torch.tensor([T, T // 3])[:, None]
    late = torch.arange(T) >= torch.tensor([0, T // 3])[:, None]  # whose first rows see nothing
    pairs = (torch.rand(2, T, T) < 0.7) & keys[:, None]
    return {"none": None, "keys": keys, "late": late, "pairs": pairs}[kind]


def by_loop(module, x, mask):
    """Every row on its own, from the projections on."""
    B, T, K = *x.shape[:2], D // H
    q = x @ module.query.weight.T + module.query.bias
    k = x @ module.key.weight.T
    v = x @ module.value.weight.T + module.value.bias
    heat = [1.0] * H if module.heat is None else module.heat.tolist()
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [
                j for j in range(T)
                if not (module.is_causal and j > i)
                and (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
            ]  # fmt: skip
            heads = []
            for h in range(H):
                of = slice(h * K, (h + 1) * K)
                if not seen:
                    heads.append(torch.zeros(K))
                    continue
                gated = q[b, seen, of] * torch.sigmoid(q[b, seen, of])
                scores = (gated * k[b, seen, of]).sum(dim=1) / math.sqrt(K) / heat[h]
                weights = torch.exp(scores - scores.max())
                heads.append((weights / weights.sum()) @ v[b, seen, of])
            rows.append(torch.cat(heads))
    return torch.stack(rows).view(B, T, D) @ module.out.weight.T + module.out.bias


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", ["none", "keys", "late", "pairs"])
@pytest.mark.parametrize("heat", [1.0, 0.4])
def test_equals_the_loop(heat, masked, causal, monkeypatch):
    monkeypatch.setattr(nonapproximate, "CHUNK", 4)
    module, T = layer(causal), 11
    module.temperature = heat
    x, mask = torch.randn(2, T, D, requires_grad=True), masks(masked, T)
    expected = by_loop(module, x, mask)
    leaves = {"x": x, **dict(module.named_parameters())}
    assert_same(module(x, mask=mask).out, expected, leaves)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves)


def test_rows_agree_but_for_what_they_see():
    module, x = layer(causal=True), torch.randn(1, 9, D)
    weights = module(x, need_weights=True).weights[0]
    last = weights[:, -1]
    for i in range(9):
        seen = last[:, : i + 1]
        assert_close(weights[:, i, : i + 1], seen / seen.sum(dim=1, keepdim=True))
    assert module(x, need_weights=True).weights[0, :, 8].std() > 1e-3
    both = layer()(x).out
    assert_close(both, both[:, :1].expand_as(both))


@pytest.mark.parametrize("causal", [False, True])
def test_where_all_queries_are_one_it_is_plain_attention_with_that_after_silu(causal):
    plain = attention.build("whisper", dims=D, heads=H, causal=causal)
    torch.nn.init.zeros_(plain.query.weight)
    module = layer(causal).adopt(plain)
    plain.query.bias.data = torch.nn.functional.silu(module.query.bias.data)
    x, keys = torch.randn(2, 150, D), masks("keys", 150)
    for mask in (None, keys):
        assert_close(module(x, mask=mask).out, plain(x, mask=mask).out, **TOLERANCE)


@pytest.mark.parametrize("explicit", [False, True])
def test_large_scores_are_no_trouble(explicit):
    module, x = layer(causal=True), torch.randn(1, 150, D)
    module.key.weight.data *= 1000
    loud = (10 * x).requires_grad_()
    out = module(loud, need_weights=explicit).out
    out.sum().backward()
    assert out.isfinite().all() and loud.grad.isfinite().all()  # noqa: PT018
    assert_close(out, by_loop(module, loud, None), **TOLERANCE)


def test_its_state_is_one_key_however_much_was_heard():
    module, x = layer(causal=True), torch.randn(3, 40, D)
    state = module.new_state()
    steps = [module(part, state=state).out for part in x.split((1, 30, 9), dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **TOLERANCE)
    assert (state.level.shape, state.out.shape) == ((3, H, 1, 1), (3, H, 1, D // H))
    assert state.out.untyped_storage().nbytes() == 4 * state.out.numel()
    state, rows = module.new_state(), torch.tensor([2, 0, 0])
    module(x[:, :30], state=state, need_weights=True)
    state.reorder(rows)
    rest = module(x[rows, 30:], state=state, need_weights=True).out
    assert_close(rest, module(x[rows]).out[:, 30:], **TOLERANCE)
    module.new_state().reorder(rows)  # before anything is heard


@pytest.mark.parametrize("causal", [False, True])
def test_no_matrix_is_kept_for_the_backward(causal):
    kept = {}
    for T in (600, 2400):
        total = 0

        def count(x):
            nonlocal total
            total += x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            layer(causal)(torch.randn(1, T, D))
        kept[T] = total
    assert kept[2400] < 4.2 * kept[600]


def test_a_state_has_no_keys_to_edit():
    module = layer(causal=True)
    module.edit = torch.square
    with pytest.raises(UnsuitedError, match="no single keys to edit"):
        module(torch.randn(1, 3, D), state=module.new_state())
