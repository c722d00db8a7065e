"""Integrated attention, as published and corrected, one query at a time, from formulas alone."""

import bisect
import math

import torch

from tests.reference.published import normalise

EDGES = [-1 + 2 * i / 9 for i in range(10)]


def linear(x, layer):
    return x @ layer.weight.T + layer.bias


def attended(q, keys, values, factor):
    """softmax(factor q · keys) values for q (H, K), keys and values (n, H, K): (H, K)."""
    weights = ((keys * q).sum(dim=-1) * factor).softmax(dim=0)  # (n, H)
    return (weights[..., None] * values).sum(dim=0)


def global_branch(attention, x, fused):
    """Of one item, normed, (T, D). Unless `fused`, its features are added to the scores."""
    (T, D), H = x.shape, attention.head
    K = D // H
    q, k, v = (
        linear(x, getattr(attention, f"{part}_module").proj).view(T, H, K)
        for part in ("query", "key", "value")
    )
    rows = []
    for i in range(T):
        if fused:
            rows.append(attended(q[i], k[: i + 1], v[: i + 1], 1 / K))
        else:
            scores = (k * q[i]).sum(dim=-1) / math.sqrt(K) + x[i, :T, None]
            rows.append((scores.softmax(dim=0)[..., None] * v).sum(dim=0))
    return linear(torch.stack(rows).flatten(1), attention.combiner.out)


def code(x):
    """The learner's state of x (B, T, D)."""
    digits = []
    flat = x.detach().flatten(0, 1)
    for moment in (flat.mean(dim=0), ((flat - flat.mean(dim=0)) ** 2).mean(dim=0)):
        digits += [bisect.bisect_right(EDGES, value) for value in moment.tolist()]
    return hash(tuple(digits)) % 9999


def reward(out):
    values = out.detach().clamp(min=1e-10)
    entropy = -(values * torch.log(values)).sum(dim=-1).mean()
    return ((out > 0.01).float().mean() - 0.1 * entropy).item()


def best(table, state):
    return [table.get((state, action), 0.0) for action in range(10)]


def local_branch(x, H, share, settings, fused):
    """The loop over windows of x (B, T, D), normed."""
    (B, T, D), K = x.shape, x.shape[2] // H
    heads = x.unflatten(-1, (H, K))
    window, span = (max(1, int(settings[name] * share)) for name in ("win_size", "max_span"))
    outs = []
    for first in range(0, T, window):
        queries = heads[:, first : min(first + window, T)]
        keys = heads[:, max(0, first - span + window) : min(first + span, T)]
        n = queries.shape[1]
        kept = min(int(settings["max_span"] * share), n, keys.shape[1], settings["max_dist"])
        if not kept:
            outs.append(torch.zeros(B, n, D))
            continue
        assert kept == n  # else the published code raises
        temperature = 1 + settings["temp_scale"] * (1 - share)
        before = torch.zeros(B, n, H, K)
        for _ in range(10):
            found = torch.zeros(B, n, H, K)
            for b in range(B):
                for i in range(n):
                    if fused:
                        seen, factor = keys[b, : i + 1], K**-0.5
                    else:
                        seen, factor = keys[b, :n], 1 / temperature
                    found[b, i] = attended(queries[b, i], seen, seen, factor)
            change = (found - before).abs().mean().item()
            if 0.9 * change < 1e-4:
                break
            before, queries = found, queries + found
        outs.append(found.flatten(2))
    return torch.cat(outs, dim=1)


def published(module, x, settings, table, random, *, epsilon=0.1, fused=True):
    """`IntegratedAttention` of x (B, T, D), whose learner has a table and numbers to draw from."""
    near, globe = normalise(x, module.ln_a), normalise(x, module.ln_b)
    far = torch.stack([global_branch(module.attn_global, item, fused) for item in globe])
    state = code(near)
    if random.random() < epsilon:
        action = random.randint(10)
    else:
        values = best(table, state)
        action = values.index(max(values))
    predicted = torch.sigmoid(linear(far.mean(dim=1), module.span_pred.linear))
    share = (predicted * (action / 9)).mean().item()
    local = local_branch(near, module.head, share, settings, fused)
    target = reward(local) + 0.9 * max(best(table, code(local)))
    old = table.get((state, action), 0.0)
    table[state, action] = old + 0.1 * (target - old)
    return linear(torch.cat((local, far), dim=-1), module.projection)


def corrected(module, q, k, v, mask, *, causal, cross):
    """The local branch of the corrected form: (B, H, T, K), and the spans (B, H, T)."""
    (B, H, T, K), S, config = q.shape, k.shape[2], module.config
    outs, spans = [], []
    for b in range(B):
        for i in range(T):
            here = S - T + i
            seen = [
                j for j in range(S)
                if (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
                and not (causal and j > here)
            ]  # fmt: skip
            values = v[b][:, seen].transpose(0, 1).flatten(1)  # (n, D)
            mean = values.sum(dim=0) / max(1, len(seen))
            variance = ((values - mean) ** 2).sum(dim=0) / max(1, len(seen))
            chances = linear(torch.cat((mean, variance)), module.refiner).softmax(dim=0)
            factor = sum(p * a / (len(chances) - 1) for a, p in enumerate(chances))
            share = torch.sigmoid(linear(mean, module.predictor)) * factor
            if config.sharpen:
                temperature = 1 + config.temp_scale * (1 - share)
            else:
                temperature = 0.5 + config.temp_scale * share
            spans.append(config.max_span * share)
            heads = []
            for h in range(H):
                query, old = q[b, h, i], torch.zeros(K, dtype=q.dtype)
                keys, at = k[b, h, seen], torch.tensor(seen, dtype=q.dtype)
                for _ in range(config.rounds):
                    scores = keys @ query / math.sqrt(K) / temperature[h]
                    centre = scores.softmax(dim=0) @ at if cross else here
                    ramp = (spans[-1][h] - (at - centre).abs()) / config.ramp + 1
                    weights = ramp.clamp(0, 1) * scores.exp()
                    total = weights.sum()
                    weights = weights / total if total > 0 else 0 * weights
                    out, found = weights @ v[b, h, seen], weights @ keys
                    change, size = (out - old).abs().mean(), out.abs().mean()
                    new = change / (size + 1e-4) - config.tolerance
                    query, old = query + (new / (1 - config.tolerance)).clamp(0, 1) * found, out
                heads.append(out)
            outs.append(torch.stack(heads))
    outs, spans = (torch.stack(x).unflatten(0, (B, T)).transpose(1, 2) for x in (outs, spans))
    return outs, spans
