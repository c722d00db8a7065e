"""Softmax attention with queries and keys of anything, one query of one head at a time."""

import math

import torch


def by_loop(module, asking, answering, source, mask=None):
    """Queries of `asking` (B, T, D), keys of `answering` (B, S, D), values of `source` (B, S, D).

    Nothing but the weights of the module's projections is used.
    """
    (B, T, D), S, K = asking.shape, source.shape[1], asking.shape[2] // module.heads
    q = asking @ module.query.weight.T + module.query.bias
    k = answering @ module.key.weight.T
    v = source @ module.value.weight.T + module.value.bias
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [j for j in range(S) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if (mask[b, j] if mask.ndim == 2 else mask[b, i, j])]
            heads = []
            for h in range(module.heads):
                of = slice(h * K, (h + 1) * K)
                scores = k[b, seen, of] @ q[b, i, of] / math.sqrt(K)
                heads.append(scores.softmax(dim=0) @ v[b, seen, of])
            rows.append(torch.cat(heads))
    read = torch.stack(rows).view(B, T, D)
    return read @ module.out.weight.T + module.out.bias
