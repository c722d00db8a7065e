"""Plain attention against a loop over queries and heads, with masks."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention

CASES = {"as it comes": {}}  # for test_every_mechanism.py


def by_loops(layer, x, xa, mask, causal):
    """One query of one head of one item at a time."""
    source = x if xa is None else xa
    B, T, D = x.shape
    H, K = layer.heads, D // layer.heads
    rows = []
    for b in range(B):
        q, k, v = layer.query(x[b]), layer.key(source[b]), layer.value(source[b])
        for t in range(T):
            seen = [
                s for s in range(len(k)) if (mask is None or mask[b, s]) and not (causal and s > t)
            ]
            heads = []
            for h in range(H):
                part = slice(h * K, (h + 1) * K)
                if not seen:
                    heads.append(x.new_zeros(K))
                    continue
                scores = torch.stack([q[t, part].dot(k[s, part]) / K**0.5 for s in seen])
                heads.append(scores.softmax(0) @ v[seen, part])
            rows.append(torch.cat(heads))
    return layer.out(torch.stack(rows).view(B, T, D))


@pytest.mark.parametrize("use", ["self", "causal", "cross"])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("lengths", [None, (5, 2, 0)], ids=["full", "padded"])
def test_equals_loops_forward_and_backward(use, need_weights, lengths):
    torch.manual_seed(0)
    layer = attention.build(
        "whisper", dims=12, heads=3, causal=use == "causal", cross=use == "cross"
    )
    x = torch.randn(3, 5, 12, requires_grad=True)
    xa = torch.randn(3, 7, 12) if use == "cross" else None
    S = 7 if use == "cross" else 5
    mask = None if lengths is None else torch.arange(S) < torch.tensor(lengths)[:, None]
    out = layer(x, xa, mask, need_weights=need_weights).out
    expected = by_loops(layer, x, xa, mask, use == "causal")
    assert_close(out, expected, rtol=0, atol=1e-5)
    upstream = torch.randn_like(out)
    leaves = [x, *layer.parameters()]
    given = torch.autograd.grad(out, leaves, upstream)
    for a, b in zip(given, torch.autograd.grad(expected, leaves, upstream), strict=True):
        assert_close(a, b, rtol=0, atol=1e-5)


def test_a_mask_of_pairs_hides_pairs():
    torch.manual_seed(0)
    layer = attention.build("whisper", dims=12, heads=3)
    x, pairs = torch.randn(2, 5, 12), torch.rand(2, 5, 5) > 0.5
    weights = layer(x, None, pairs, need_weights=True).weights
    assert torch.equal(weights > 0, pairs[:, None].expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(2, 5), r"mask: expected dtype torch.bool \(True = attend\), given torch.float"),
        (torch.ones(2, 4, dtype=torch.bool), r"mask: expected shape \(2, 5\) or .*given \(2, 4\)"),
    ],
    ids=["dtype", "shape"],
)
def test_a_wrong_mask_is_named(mask, message):
    layer = attention.build("whisper", dims=12, heads=3)
    with pytest.raises(ValueError, match=message):
        layer(torch.randn(2, 5, 12), None, mask)
