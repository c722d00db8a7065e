"""Local attention, one query at a time, from the documented meaning of its options."""

import torch


def attend(
    q,
    k,
    v,
    *,
    window_size,
    causal=False,
    look_backward=1,
    look_forward=None,
    shared_qk=False,
    exact_windowsize=False,
    scale=None,
    rotary=False,
    use_xpos=False,
    xpos_scale_base=None,
    mask=None,
    attn_bias=None,
):
    """q, k, v (B, H, T, K), mask (B, T), attn_bias (H, w, W). Positions are relative."""
    B, _, T, K = q.shape
    w, back = window_size, look_backward
    ahead = look_forward if look_forward is not None else 0 if causal else 1
    xpos_scale_base = xpos_scale_base or w // 2
    if shared_qk:
        k = k / k.norm(dim=-1, keepdim=True)
    rows = []
    for b in range(B):
        for i in range(T):
            block = i // w
            seen = [
                j
                for j in range(max(0, (block - back) * w), min(T, (block + ahead + 1) * w))
                if (mask is None or mask[b, j])
                and not (causal and j > i)
                and not (exact_windowsize and (i - j > back * w or j - i > ahead * w))
            ]
            keys, at = k[b][:, seen], torch.tensor(seen, dtype=torch.long)  # (H, n, K)
            if rotary:
                offsets = i - at + ahead * w
                keys = moved(keys, offsets, xpos_scale_base if use_xpos else None)
            scores = (keys @ q[b, :, i, :, None])[..., 0] * (K**-0.5 if scale is None else scale)
            if attn_bias is not None:
                scores = scores + attn_bias[:, i - block * w, at - (block - back) * w]
            if shared_qk:
                scores = torch.where(at == i, -5e4, scores)
            rows.append((scores.softmax(dim=1)[..., None] * v[b][:, seen]).sum(dim=1))
    return torch.stack(rows).unflatten(0, (B, T)).transpose(1, 2)


def moved(keys, offsets, scale_base):
    """Keys (H, n, K) as a query sees them `offsets` (n) positions later: turned, and decayed."""
    K = keys.shape[-1]
    half = torch.arange(0, K, 2, dtype=torch.float64)
    angles = offsets[:, None] * 10000.0 ** (-half / K)
    a, b = keys.double().chunk(2, dim=-1)
    a, b = a * angles.cos() + b * angles.sin(), b * angles.cos() - a * angles.sin()
    if scale_base is not None:
        decay = ((half + 0.4 * K) / (1.4 * K)) ** (offsets[:, None] / scale_base)
        a, b = a * decay, b * decay
    return torch.cat((a, b), dim=-1).to(keys.dtype)
