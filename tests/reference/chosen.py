"""Attention one row at a time, by a formula of one row that is told which row it is."""

import torch

from tests.reference.compare import TOLERANCE, assert_same


def masks(kind, T, S):
    """No mask, keys of which the second item has a third, or pairs of these; two items."""
    keys = torch.arange(S) < torch.tensor([S, S // 3])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    return {"none": None, "keys": keys, "pairs": pairs}[kind]


def projected(module, x, xa=None):
    """Queries (B, H, T, K), keys and values (B, H, S, K), from the layer's parameters."""
    source, H = x if xa is None else xa, module.heads
    parts = (x, module.query), (source, module.key), (source, module.value)
    return [
        (of @ part.weight.T + (0 if part.bias is None else part.bias))
        .unflatten(-1, (H, -1))
        .transpose(1, 2)
        for of, part in parts
    ]


def by_rows(module, x, xa, mask, row):
    """The layer's output from its projections on.

    `row` makes the output (K,) of query i of item b and head h from q (K,), all keys and values
    (S, K) and the list of keys that it may see: row(b, h, i, q, k, v, seen).
    """
    q, k, v = projected(module, x, xa)
    (B, H, T, _), S = q.shape, k.shape[2]
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [
                j for j in range(S)
                if not (module.is_causal and xa is None and j > S - T + i)
                and (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
            ]  # fmt: skip
            rows += [row(b, h, i, q[b, h, i], k[b, h], v[b, h], seen) for h in range(H)]
    out = torch.stack(rows).view(B, T, -1)
    return out @ module.out.weight.T + module.out.bias


def attend(q, k, v, keys):
    """softmax(q kᵀ / √K) v over some keys, (K,); of none, zero."""
    if not keys:
        return 0 * q
    return (k[keys] @ q / q.shape[-1] ** 0.5).softmax(dim=0) @ v[keys]


def assert_is_rows(module, x, xa, mask, row, promised=None, tolerance=TOLERANCE):
    """The layer is the loop, forward and in every gradient, asked for weights or not.

    `promised`: the rows (B, T) that are compared, None for all; nothing is promised of padding.
    """
    x = x.detach().to(module.out.weight.dtype).requires_grad_()
    leaves = {"x": x, **dict(module.named_parameters())}
    if xa is not None:
        xa = xa.detach().to(x.dtype).requires_grad_()
        leaves["xa"] = xa
    told = 1 if promised is None else promised[..., None]
    expected = by_rows(module, x, xa, mask, row) * told
    for need_weights in (False, True):
        out = module(x, xa, mask, need_weights=need_weights).out
        assert_same(out * told, expected, leaves, tolerance)
