"""The published hybrid attention, one query at a time, written from its formulas alone."""

import torch


def normalise(x, layer):
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = (centred**2).mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(variance + layer.eps) * layer.weight + layer.bias


def turned(x, base):
    """Rotate the pairs (i, i + K / 2) of x (T, H, K) by their position, as complex numbers."""
    T, _, K = x.shape
    rates = base ** (-torch.arange(0, K, 2, dtype=torch.float64) / K)
    angles = torch.arange(T)[:, None, None] * rates
    pairs = torch.complex(x[..., : K // 2].double(), x[..., K // 2 :].double())
    pairs = pairs * torch.complex(angles.cos(), angles.sin())
    return torch.cat((pairs.real, pairs.imag), dim=-1).to(x.dtype)


def rotary_attention(x, attention, base, max_dist):
    """Global rotary attention of one item (T, D); keys farther than max_dist are hidden."""
    T, D = x.shape
    H = attention.heads
    q = turned((x @ attention.query.weight.T + attention.query.bias).view(T, H, -1), base)
    k = turned((x @ attention.key.weight.T).view(T, H, -1), base)
    v = (x @ attention.value.weight.T + attention.value.bias).view(T, H, -1)
    rows = []
    for i in range(T):
        keys = [j for j in range(T) if abs(i - j) <= max_dist]
        weights = ((k[keys] * q[i]).sum(dim=-1) / (D // H) ** 0.5).softmax(dim=0)  # (n, H)
        rows.append((weights[..., None] * v[keys]).sum(dim=0).flatten())
    return torch.stack(rows) @ attention.out.weight.T + attention.out.bias


def temperature(scale, temp_scale, sharpen_longer):
    return 1 + temp_scale * (1 - scale) if sharpen_longer else 0.5 + temp_scale * scale


def local_windows(x, H, scale, *, slid_win, max_span, max_dist, temp_scale, sharpen_longer):
    """The loop over windows of one item (T, D), as published, for a given span scale."""
    T, D = x.shape
    heads = x.view(T, H, -1)
    window, span = max(1, int(slid_win * scale)), max(1, int(max_span * scale))
    sharpness = (D // H) ** -0.25 / temperature(scale, temp_scale, sharpen_longer)
    rows = []
    for first in range(0, T, window):
        queries = list(range(first, min(first + window, T)))
        start = max(0, first - span + window)
        keys = list(range(start, min(first + span, T)))
        kept = min(int(max_span * scale), len(queries), len(keys), max_dist, span, window)
        seen = heads[keys[:kept]]  # (n, H, K)
        for i in queries[:kept]:
            weights = ((seen * heads[i]).sum(dim=-1) * sharpness).softmax(dim=0)
            rows.append((weights[..., None] * seen).sum(dim=0).flatten())
    return torch.stack(rows)


def hybrid(module, x, base):
    """`HybridAttention` of a batch x (B, T, D), with the parameters of `module`."""
    T = x.shape[1]
    globe = normalise(x, module.ln_global)
    near = normalise(x, module.ln_local)
    far_dist = min(module.max_dist, T)
    attention = module.attn_global.attention
    far = torch.stack([rotary_attention(item, attention, base, far_dist) for item in globe])
    linear = module.span_pred.linear
    scales = torch.sigmoid(far.mean(dim=1) @ linear.weight.T + linear.bias)
    scale = scales.mean().item()
    local = module.attn_local
    near = torch.stack(
        [
            local_windows(
                item,
                attention.heads,
                scale,
                slid_win=module.slid_win,
                max_span=module.max_span,
                max_dist=module.max_dist,
                temp_scale=local.temp_scale,
                sharpen_longer=local.sharpen_longer,
            )
            for item in near
        ]
    )
    joined = torch.cat((near, far), dim=-1)
    return joined @ module.projection.weight.T + module.projection.bias
