"""Attention one row at a time: a loop over items, queries and heads around a formula of one row."""

import torch

from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.published import turned

USES = ["self", "causal", "cross"]
MASKS = ["none", "keys", "pairs"]
S, TEXT = 13, 5  # keys, and queries in cross-attention


def inputs(use, masked, dims):
    """x, xa and a mask, under which one item is padded and, of pairs, one query sees nothing."""
    T = TEXT if use == "cross" else S
    x = 3 * torch.randn(2, T, dims)
    xa = 3 * torch.randn(2, S, dims) if use == "cross" else None
    keys = torch.arange(S) < torch.tensor([S, 4])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    pairs[1, 2] = False
    return x, xa, {"none": None, "keys": keys, "pairs": pairs}[masked]


def seen_by(i, b, T, S, mask, causal):
    """The keys that query i of item b may see; the last query is aligned with the last key."""
    return [
        j for j in range(S)
        if not (causal and j > S - T + i)
        and (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
    ]  # fmt: skip


def by_rows(module, x, xa, mask, row, base=None):
    """The layer's output from its projections on.

    `row` makes the output (K,) of query i of head h from q (K,), keys and values (n, K), the n that
    it sees. Positions are rotated with `base`, in self-attention.
    """
    source = x if xa is None else xa
    (B, T, _), S, H = x.shape, source.shape[1], module.heads
    q = module.query(x).unflatten(-1, (H, -1))
    k, v = (part(source).unflatten(-1, (H, -1)) for part in (module.key, module.value))
    if base is not None and xa is None:
        q, k = (torch.stack([turned(item, base) for item in part]) for part in (q, k))
    rows = []
    for b in range(B):
        for i in range(T):
            seen = seen_by(i, b, T, S, mask, module.is_causal)
            for h in range(H):
                some = (
                    row(h, i, q[b, i, h], k[b, seen, h], v[b, seen, h]) if seen else 0 * q[b, i, h]
                )
                rows.append(some)
    return module.out(torch.stack(rows).view(B, T, -1))


def assert_is_rows(module, row, use, masked, base=None, tolerance=TOLERANCE):
    """The layer is the loop, forward and in every gradient, asked for weights or not."""
    x, xa, mask = inputs(use, masked, module.dims)
    dtype = module.out.weight.dtype
    leaves = {"x": x.to(dtype).requires_grad_()}
    if xa is not None:
        leaves["xa"] = xa.to(dtype).requires_grad_()
    leaves |= dict(module.named_parameters())
    given = leaves["x"], leaves.get("xa"), mask
    expected = by_rows(module, *given, row, base)
    assert_same(module(*given).out, expected, leaves, tolerance)
    assert_same(module(*given, need_weights=True).out, expected, leaves, tolerance)
