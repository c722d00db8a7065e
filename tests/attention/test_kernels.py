"""Weights that are products of features, against a loop over queries; and the state of sums."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from focused_attention.attention import KeyValueCache, UnsuitedError
from focused_attention.attention.kernels import CHUNK, KernelAttention, SumState
from tests.reference.compare import TOLERANCE, assert_same

LONG = 2 * CHUNK + 13  # crosses two chunks
USES = ["self", "causal", "cross"]


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None


class Elu(KernelAttention):
    """elu + 1, the features of https://arxiv.org/abs/2006.16236."""

    def query_features(self, q):
        return F.elu(q) + 1

    key_features = query_features


def layer(use="causal", **settings):
    torch.manual_seed(0)
    return Elu(Config(**settings), 12, 3, use == "causal")


def inputs(use, T=LONG, S=LONG):
    x = torch.randn(2, T if use == "cross" else S, 12)
    return x, torch.randn(2, S, 12) if use == "cross" else None


def masks(kind, T, S):
    keys = torch.arange(S) < torch.tensor([S, S // 3])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    late = torch.arange(S) >= torch.tensor([5, 0])[:, None]  # causal: five rows see nothing
    return {"none": None, "keys": keys, "late": late, "pairs": pairs}[kind]


def by_loop(module, x, xa, mask):
    """One head of one query at a time, from the projections on."""
    source = x if xa is None else xa
    (B, T, _), S, H = x.shape, source.shape[1], module.heads
    q = (F.elu(module.query(x)) + 1).view(B, T, H, -1)
    k = (F.elu(module.key(source)) + 1).view(B, S, H, -1)
    v = module.value(source).view(B, S, H, -1)
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [j for j in range(S) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if (mask[b, j] if mask.ndim == 2 else mask[b, i, j])]
            for h in range(H):
                a = k[b, seen, h] @ q[b, i, h]
                rows.append(a / a.sum() @ v[b, seen, h] if seen else torch.zeros_like(v[b, 0, h]))
    return module.out(torch.stack(rows).view(B, T, -1))


@pytest.mark.parametrize("masked", ["none", "keys", "late", "pairs"])
@pytest.mark.parametrize("use", USES)
def test_equals_the_loop(use, masked):
    module, (x, xa) = layer(use), inputs(use, T=7)
    mask = masks(masked, x.shape[1], LONG)
    leaves = {"x": x.requires_grad_(), **dict(module.named_parameters())}
    leaves |= {} if xa is None else {"xa": xa.requires_grad_()}
    expected = by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("T", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_chunks_of_any_fill_are_the_matrix(T):
    module, x = layer(), torch.randn(1, T, 12)
    assert_close(module(x).out, module(x, need_weights=True).out, **TOLERANCE)


@pytest.mark.parametrize("base", [None, 50.0], ids=["unrotated", "rotated"])
@pytest.mark.parametrize("parts", [(1,) * 9, (CHUNK + 5, 1, 2, CHUNK, 1), (LONG,)], ids=len)
def test_decoding_with_sums_is_the_whole(parts, base):
    module, x = layer(base=base), torch.randn(2, sum(parts), 12)
    state = module.new_state()
    steps = [module(part, state=state).out for part in x.split(parts, dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **TOLERANCE)
    assert isinstance(state, SumState)
    assert state.length == x.shape[1]
    assert state.sums.shape == (2, 3, 4, 5)
    assert state.sums.untyped_storage().nbytes() == 4 * state.sums.numel()  # keeps no more


def test_padding_in_front_is_no_part_of_the_sums():
    module, x = layer(), torch.randn(2, LONG, 12)
    mask, state = masks("late", LONG, LONG), module.new_state()
    places = zip(x.split((70, 1, LONG - 71), 1), mask.split((70, 1, LONG - 71), 1), strict=True)
    steps = [module(part, mask=seen, state=state).out for part, seen in places]
    assert_close(torch.cat(steps, dim=1), module(x, mask=mask).out, **TOLERANCE)


def test_sums_choose_their_rows():
    module, x, rows = layer(), torch.randn(3, 9, 12), torch.tensor([2, 0, 0, 1])
    state = module.new_state()
    state.reorder(rows)  # of nothing
    module(x[:, :5], state=state)
    state.reorder(rows)
    assert_close(module(x[rows, 5:], state=state).out, module(x[rows]).out[:, 5:], **TOLERANCE)


def test_the_other_sequence_is_projected_once_and_kept_as_sums():
    module, (x, xa) = layer("cross"), inputs("cross", T=4)
    mask, calls = masks("keys", 4, LONG), []
    module.key.register_forward_hook(lambda *_: calls.append("key"))
    state, rows = module.new_state(), torch.tensor([1, 1, 0])
    steps = [module(part, xa, mask, state=state).out for part in x.split(1, dim=1)]
    assert calls == ["key"]
    assert state.length == LONG
    assert_close(torch.cat(steps, dim=1), module(x, xa, mask).out, **TOLERANCE)
    state.reorder(rows)
    again = module(x[rows], xa[rows], mask[rows], state=state).out
    assert_close(again, module(x, xa, mask).out[rows], **TOLERANCE)
    with pytest.raises(ValueError, match=r"mask: expected shape \(3, 141\)"):
        module(x[rows], xa[rows], mask[rows, :5], state=state)


def test_weights_of_cross_attention_are_seen_whether_its_keys_are_summed_or_not():
    module, (x, xa) = layer("cross"), inputs("cross", T=4)
    state, expected = module.new_state(), module(x, xa, need_weights=True)
    for _ in range(2):
        found = module(x, xa, state=state, need_weights=True)
        assert_close(found.weights, expected.weights, **TOLERANCE)
        module(x, xa, state=state)


def test_weights_while_decoding_are_those_of_the_keys_of_the_call():
    module, x = layer(), torch.randn(2, 9, 12)
    state, expected = module.new_state(), module(x, need_weights=True)
    first = module(x[:, :6], state=state, need_weights=True)
    rest = module(x[:, 6:], state=state, need_weights=True)
    assert_close(first.weights, expected.weights[:, :, :6, :6], **TOLERANCE)
    assert_close(rest.weights, expected.weights[:, :, 6:, 6:], **TOLERANCE)
    assert_close(torch.cat((first.out, rest.out), dim=1), expected.out, **TOLERANCE)


@pytest.mark.parametrize("use", ["causal", "cross"])
def test_an_edit_is_done_while_decoding_too(use):
    (x, xa), module = inputs(use), layer(use)
    parts = (LONG - CHUNK, 1, CHUNK - 1)
    module.edit = lambda rows: rows.square()
    assert isinstance(module.new_state(), KeyValueCache)
    for edit in (module.edit, None):  # without an edit, keys that are kept do no harm
        module.edit, state = edit, KeyValueCache()
        steps = [module(part, xa, state=state).out for part in x.split(parts, dim=1)]
        assert_close(torch.cat(steps, dim=1), module(x, xa).out, **TOLERANCE)


def test_what_sums_cannot_do_is_refused():
    module, x, state = layer(), torch.randn(1, 5, 12), SumState()
    with pytest.raises(UnsuitedError, match="a state of sums has no single keys"):
        module(x, mask=torch.ones(1, 5, 5, dtype=torch.bool), state=state)
    module.edit = torch.zeros_like
    with pytest.raises(UnsuitedError, match="a state of sums has no single keys"):
        module(x, state=state)


def test_what_is_kept_for_the_backward_grows_with_the_length():
    kept = {}
    for T in (10 * CHUNK, 40 * CHUNK):
        total = 0

        def count(x):
            nonlocal total
            total += x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            layer()(torch.randn(1, T, 12))
        kept[T] = total
    assert kept[40 * CHUNK] < 4.1 * kept[10 * CHUNK]


def test_sums_are_taken_in_single_precision_in_mixed_precision_too():
    module, x = layer(), torch.randn(1, 700, 12)
    exact, state = module(x).out, module.new_state()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        steps = [module(part, state=state).out for part in x.split(1, dim=1)]
    assert state.sums.dtype == torch.float32
    assert (torch.cat(steps, dim=1) - exact).abs().max() < 0.02  # if in half precision, 0.1
    half = layer().bfloat16()
    assert half(x.bfloat16()).out.dtype == torch.bfloat16
