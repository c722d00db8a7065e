"""Linear attention one row at a time: inputs, projections and a walk over their rows."""

import torch

from tests.reference.rows import seen_by

EXACT = {"rtol": 1e-8, "atol": 1e-8}  # double precision
S, TEXT = 70, 5  # keys, of two chunks; and queries in cross-attention


def inputs(use, masked, dims=8):
    """x, xa and a mask, under which one item is padded and, of pairs, one query sees nothing."""
    T = TEXT if use == "cross" else S
    x = torch.randn(2, T, dims, dtype=torch.float64, requires_grad=True)
    xa = torch.randn(2, S, dims, dtype=torch.float64, requires_grad=True)
    keys = torch.arange(S) < torch.tensor([S, 9])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    pairs[1, 2] = False
    late = torch.arange(S) >= torch.tensor([3, 66])[:, None]
    masks = {"none": None, "keys": keys, "late": late, "pairs": pairs}
    return x, xa if use == "cross" else None, masks[masked]


def projected(module, x, xa=None):
    """q (B, T, H, K), k and v (B, S, H, K)."""
    source = x if xa is None else xa
    return tuple(
        part(of).unflatten(-1, (module.heads, -1))
        for part, of in ((module.query, x), (module.key, source), (module.value, source))
    )


def walk(module, x, xa, mask, row):
    """Heads (B, T, D) of what `row` says of item b, head h, query i and the keys that it sees."""
    (B, T, D), keys = x.shape, (x if xa is None else xa).shape[1]
    out = []
    for b in range(B):
        for i in range(T):
            seen = seen_by(i, b, T, keys, mask, module.is_causal)
            for h in range(module.heads):
                zero = x.new_zeros(D // module.heads)
                out.append(row(b, h, i, seen) if seen else zero)
    return torch.stack(out).view(B, T, D)


def leaves_of(module, x, xa=None):
    return {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
