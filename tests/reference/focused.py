"""Attention inside a predicted span, one query at a time."""

import math

import torch


def attend(q, k, v, mask, focus, *, causal, cross):
    """q (B, H, T, K), k and v (B, H, S, K), mask None, (B, S) or (B, T, S).

    Returns the output (B, H, T, K), the spans and the temperatures (B, H, T).
    """
    B, H, T, K = q.shape
    S = k.shape[2]
    config = focus.config
    outs, spans, temperatures = [], [], []
    for b in range(B):
        for i in range(T):
            here = S - T + i  # the last query is aligned with the last key
            seen = [
                j
                for j in range(S)
                if (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
                and not (causal and j > here)
            ]
            n = max(1, len(seen))
            keys, values = k[b][:, seen], v[b][:, seen]  # (H, n, K)
            context = values.sum(dim=1).flatten() / n
            share = torch.sigmoid(focus.predictor.weight @ context + focus.predictor.bias)
            share = share if config.per_head else share.repeat(H)
            span = share * (n if config.max_span is None else config.max_span)
            t = temperature(focus, share, span, n, causal)
            spans.append(span)
            temperatures.append(t)
            plain = (keys @ q[b, :, i, :, None])[..., 0] / math.sqrt(K)  # (H, n)
            at = torch.tensor(seen, dtype=torch.float32)
            centre = plain.softmax(dim=1) @ at if cross else torch.full((H,), float(here))
            soft = ((span[:, None] - (centre[:, None] - at).abs()) / config.ramp + 1).clamp(0, 1)
            weights = soft * (plain / t[:, None]).exp()
            total = weights.sum(dim=1, keepdim=True)
            weights = torch.where(total > 0, weights / total.clamp(min=1e-30), 0.0)
            outs.append((weights[:, :, None] * values).sum(dim=1))

    def stacked(parts):
        return torch.stack(parts).unflatten(0, (B, T)).transpose(1, 2)

    return stacked(outs), stacked(spans), stacked(temperatures)


def temperature(focus, share, span, n, causal):
    config = focus.config
    match config.schedule:
        case "off":
            return torch.ones_like(share)
        case "published" if config.sharpen_longer:
            return 1 + config.temp_scale * (1 - share)
        case "published":
            return 0.5 + config.temp_scale * share
        case "learned":
            return focus.level.exp()
        case "learned_span":
            return (focus.level + focus.slope * (share - 0.5)).exp()
        case "log_length":
            visible = (1 + span * (1 if causal else 2)).clamp(max=n).clamp(min=2)
            return torch.sqrt(math.log(config.train_length) / torch.log(visible))
