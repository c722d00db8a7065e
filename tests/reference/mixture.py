"""Mixture of autoregressive attention, one window and one expert at a time.

The routing is `colt5-attention`'s coordinate descent; the local branch is the oracle of its own.
"""

import torch
from colt5_attention.coor_descent import coor_descent

from tests.reference import local


def attend(module, x, mask, n_queries, n_keys, rotary_emb=None):
    """The output of `MixtureOfAutoregressiveAttention` for x (B, T, D) and keys mask (B, T)."""
    B, T, D = x.shape
    H, E, w = module.heads, len(module.null_tokens), module.routed_window_size
    normed = module.local_norm(x)
    qkv = (normed @ module.to_qkv.weight.T).unflatten(-1, (3, H, -1)).permute(2, 0, 3, 1, 4)
    near = local.attend(
        *qkv,
        window_size=module.local_attn.window_size,
        causal=True,
        exact_windowsize=True,
        rotary=True,
        mask=mask,
    )
    out = near.transpose(1, 2).flatten(2) @ module.to_out.weight.T
    if w >= T:
        return out
    far = torch.zeros(B, T, D)
    for b in range(B):
        for first in range(w, T, w):
            window = list(range(first, min(first + w, T)))
            for e in range(E):
                for i in window:
                    far[b, i] = far[b, i] + module.null_tokens[e]
                rows = select(module.query_router, x[b], e, window, mask[b], n_queries, w)
                n_windows = -(-T // w) - 1
                keys = select(
                    module.key_value_router,
                    x[b],
                    e,
                    list(range(first)),
                    mask[b],
                    n_keys,
                    n_windows * w,
                )
                for i, gate in rows:
                    result = expert(module.experts, e, H, x[b], i, keys, rotary_emb)
                    far[b, i] = far[b, i] - module.null_tokens[e] + gate * result
    out = out + far
    return out / (E + 1) if module.average_routed else out


def select(router, x, e, positions, mask, k, length):
    """(position, gate) of the k best of `positions`; `length` is what bounds the descent's k."""
    positions = [j for j in positions if mask[j]]
    if length <= k:
        return [(j, torch.ones(())) for j in positions]
    if not positions:
        return []
    scores = torch.stack([x[j] @ router.routing_token[e] for j in positions])
    soft = coor_descent(
        scores[None],
        k=min(k * router.fetch_k_ratio, length),
        **router.descent,
        mask=torch.ones(1, len(positions), dtype=torch.bool),
    )[0]
    best = scores.argsort(descending=True)[:k]
    return [(positions[i], soft[i] + (1 - soft[i]).detach()) for i in best]


def expert(experts, e, H, x, i, keys, rotary_emb):
    """What expert e answers to position i of x (T, D) from its routed (position, gate) keys."""

    def normed(rows, norm):
        if isinstance(norm, torch.nn.Identity):
            return rows
        return rows / rows.norm(dim=-1, keepdim=True) * x.shape[-1] ** 0.5 * norm.gamma[e, 0]

    def turned(rows, positions):  # (n, H, K)
        if rotary_emb is None:
            return rows
        a, b = rows.chunk(2, dim=-1)
        angles = rotary_emb[positions][:, None]
        return rows * angles.cos() + torch.cat((-b, a), dim=-1) * angles.sin()

    at = [j for j, _ in keys]
    gates = torch.stack([gate for _, gate in keys]) if keys else torch.zeros(0)
    q = turned((normed(x[[i]], experts.norm) @ experts.to_q[e]).unflatten(-1, (H, -1)), [i])[0]
    kv = (normed(x[at], experts.context_norm) @ experts.to_kv[e]).unflatten(-1, (2, H, -1))
    k = torch.cat((experts.null_kv[0, e].transpose(0, 1), turned(kv[:, 0], at)))  # (1 + n, H, K)
    v = torch.cat((experts.null_kv[1, e].transpose(0, 1), gates[:, None, None] * kv[:, 1]))
    weights = ((k * q).sum(dim=-1) / q.shape[-1] ** 0.5).softmax(dim=0)
    return (weights[..., None] * v).sum(dim=0).flatten() @ experts.to_out[e]
