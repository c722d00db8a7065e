"""Softmax attention of given queries, keys and values, one query of one head at a time."""

import torch

from tests.reference.rows import seen_by


def by_heads(q, k, v, mask, causal, scale):
    """q (B, T, H, ·), k (B, S, H, ·), v (B, S, H, K): the heads side by side, (B, T, H K)."""
    (B, T, H, _), S = q.shape, k.shape[1]
    rows = []
    for b in range(B):
        for i in range(T):
            seen = seen_by(i, b, T, S, mask, causal)
            for h in range(H):
                scores = scale * (k[b, seen, h] @ q[b, i, h])
                rows.append(scores.softmax(dim=0) @ v[b, seen, h])
    return torch.stack(rows).view(B, T, -1)
