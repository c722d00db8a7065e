"""The k highest scores, against a loop over queries and against x-transformers."""

import pytest
import torch
from torch.testing import assert_close
from x_transformers.attend import Attend

from focused_attention import attention
from tests.reference.compare import assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "two": {"k": 2, "base": 50.0},
}

USES = ["self", "causal", "cross"]


def layer(use="self", dims=8, heads=2, **settings):
    torch.manual_seed(0)
    return attention.build(
        "topk", dims=dims, heads=heads, causal=use == "causal", cross=use == "cross", **settings
    )


def masks(kind, T, S):
    keys = torch.arange(S) < torch.tensor([S, S // 3])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    return {"none": None, "keys": keys, "pairs": pairs}[kind]


def by_loop(module, x, xa, mask):
    """One head of one query at a time, from the projections on."""
    source = x if xa is None else xa
    (B, T, _), S, H = x.shape, source.shape[1], module.heads
    q = module.query(x).view(B, T, H, -1)
    k, v = (part(source).view(B, S, H, -1) for part in (module.key, module.value))
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [j for j in range(S) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if (mask[b, j] if mask.ndim == 2 else mask[b, i, j])]
            for h in range(H):
                scores = {j: k[b, j, h] @ q[b, i, h] / q.shape[-1] ** 0.5 for j in seen}
                best = sorted(seen, key=lambda j: -scores[j])[: module.config.k]
                if best:
                    weights = torch.stack([scores[j] for j in best]).softmax(dim=0)
                    rows.append(weights @ v[b, best, h])
                else:
                    rows.append(torch.zeros_like(v[b, 0, h]))
    return module.out(torch.stack(rows).view(B, T, -1))


@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("use", USES)
def test_equals_the_loop(use, k, masked):
    module, S = layer(use, k=k), 13
    x = torch.randn(2, 5 if use == "cross" else S, 8, requires_grad=True)
    xa = torch.randn(2, S, 8, requires_grad=True) if use == "cross" else None
    mask = masks(masked, x.shape[1], S)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    expected = by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize("masked", ["none", "keys"])
def test_equals_x_transformers(masked, causal):
    module, x = (
        layer("causal" if causal else "self", k=3),
        torch.randn(2, 13, 8, requires_grad=True),
    )
    mask = masks(masked, 13, 13)
    q, k, v = (module.split(part(x)) for part in (module.query, module.key, module.value))
    theirs, _ = Attend(sparse_topk=3, causal=causal)(q, k, v, mask=mask)
    expected = module.out(theirs.transpose(1, 2).flatten(2))
    leaves = {"x": x, **dict(module.named_parameters())}
    assert_same(module(x, mask=mask).out, expected, leaves)


def test_k_keys_are_kept_of_those_that_are_seen_and_all_where_there_are_fewer():
    weights = layer("causal", k=4)(torch.randn(2, 20, 8), need_weights=True).weights
    kept = (weights > 0).sum(dim=-1)
    assert kept.eq(torch.arange(1, 21).clamp(max=4)).all()
    mask = torch.arange(20) < torch.tensor([[2], [20]])
    weights = layer(k=4)(torch.randn(2, 20, 8), mask=mask, need_weights=True).weights
    assert (weights > 0).sum(dim=-1).unique().tolist() == [2, 4]


def test_keys_that_score_alike_are_all_kept():
    module, x = layer(k=2), torch.randn(1, 1, 8).expand(1, 5, 8)
    weights = module(x, need_weights=True).weights
    assert_close(weights, torch.full_like(weights, 0.2))


def test_a_dropped_key_gets_no_gradient():
    module, xa = layer("cross", k=1), torch.randn(1, 9, 8, requires_grad=True)
    output = module(torch.randn(1, 1, 8), xa, need_weights=True)
    output.out.sum().backward()
    kept = output.weights[0, :, 0].gt(0).any(dim=0)
    assert kept.sum() <= 2  # one of every head
    assert torch.equal(xa.grad[0].ne(0).any(dim=-1), kept)


def test_more_than_all_keys_is_plain_attention_to_the_bit():
    plain, x = attention.build("whisper", dims=8, heads=2), torch.randn(2, 30, 8)
    for k, same in ((30, True), (31, True), (29, False)):
        assert torch.equal(layer(k=k).adopt(plain)(x).out, plain(x).out) == same


@pytest.mark.parametrize("k", [0, -8])
def test_a_bad_setting_is_named(k):
    with pytest.raises(ValueError, match=rf"k: expected a positive number, given {k}"):
        layer(k=k)
