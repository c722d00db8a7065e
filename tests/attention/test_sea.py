"""Estimated sparse attention, against a loop over queries that writes every step out."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.sparse._estimate import directions
from tests.reference.chosen import attend, by_rows, masks, projected
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "coarse": {"k": 3, "width": 8, "base": 100.0},
    "distilled": {"k": 1, "width": 32, "estimate_loss": 0.5},
}

T, H, K = 13, 2, 4


def layer(causal=False, **settings):
    torch.manual_seed(0)
    return attention.build("sea", dims=H * K, heads=H, causal=causal, **settings)


class Loop:
    """The estimate of one item, a query at a time; in double precision, so that no choice is near.

    `seen` are the keys that each query may see and `valid` those that any may.
    """

    def __init__(self, module, q, k, v, seen, valid):
        self.module, self.v, self.causal, W = module, v, module.is_causal, module.config.width
        module = module.estimate
        rank = {j: r for r, j in enumerate(valid)}
        self.n = [sum(j <= i for j in valid) if self.causal else len(valid) for i in range(T)]
        place = {j: self.place(r, len(valid)) for j, r in rank.items()}
        contexts = []
        for h in range(H):
            queries = [self.feature(x, self.top([x])) for x in q[h]]
            keys = [self.feature(x, self.top(k[h, valid]) if valid else 0) for x in k[h]]
            rows = [self.context(queries[i], keys, h, seen[i], place) for i in range(T)]
            contexts.append(torch.stack(rows))
        contexts = torch.stack(contexts)
        line, norm, _ = module.encode
        mixed = torch.cat((contexts, v), dim=-1) @ line.weight.T + line.bias
        hidden = F.gelu(self.norm(mixed, norm))
        self.gates = (hidden @ module.gates.weight.T + module.gates.bias).sigmoid()
        rows = hidden @ module.decode.weight.T + module.decode.bias  # (H, T, 2 W / 4)
        maps = torch.stack([rows[h, :, s * (W // 4) : (s + 1) * (W // 4)]
                            for h in range(H) for s in range(2)])  # fmt: skip
        maps = self.alive(self.norm(maps, module.norms[0]), valid)
        for conv in module.convs[:2]:
            maps = self.alive(self.convolved(maps, conv).clamp(min=0), valid)
        last, few = module.convs[2], W // 4
        maps = torch.einsum("oi,itc->otc", last.weight[:, :, 0, 0], maps) + last.bias[:, None, None]
        at = [c / (W - 1) * (few - 1) for c in range(W)]
        wide = torch.stack([
            (1 - a % 1) * maps[..., int(a)] + a % 1 * maps[..., min(few - 1, int(a) + 1)]
            for a in at
        ], dim=-1)  # fmt: skip
        self.scores = self.norm(wide, module.norms[1])  # (H, T, W)
        self.column = {
            (i, j): min(W - 1, math.floor((r + 0.5) / max(1, self.n[i]) * W - 1e-4))
            for j, r in rank.items() for i in range(T)
        }  # fmt: skip

    @staticmethod
    def norm(x, of):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + of.eps).sqrt()
        return x * of.weight + of.bias

    @staticmethod
    def alive(maps, valid):
        return torch.stack([maps[:, i] * (i in valid) for i in range(T)], dim=1)

    def place(self, rank, n):
        if self.causal:
            rates = [10000 ** (-2 * (c // 2) / K) for c in range(K)]
            return torch.tensor([(math.cos if c % 2 else math.sin)(rank * rates[c])
                                 for c in range(K)])  # fmt: skip
        at = rank / max(1, n - 1) * (K - 1)
        return torch.tensor([max(0.0, 1 - abs(at - c)) for c in range(K)])

    def top(self, points):
        lines = self.module.estimate.directions * K**-0.25
        return max((lines @ x).max().item() for x in points)

    def feature(self, x, top):
        """Performer's, of exp or of ReLU."""
        lines, x = self.module.estimate.directions, x * K**-0.25
        if self.causal:
            return (lines @ x).clamp(min=0) + 0.001
        return (lines @ x - x @ x / 2 - top).exp() + 1e-4

    def context(self, query, keys, h, seen, place):
        """The mean of [place, value] of the keys that are seen, weighted by features."""
        if not seen:
            return torch.zeros(2 * K, dtype=query.dtype)
        weights = torch.stack([query @ keys[j] for j in seen])
        read = torch.stack([torch.cat((place[j].to(query.dtype), self.v[h, j])) for j in seen])
        return weights @ read / weights.sum()

    def convolved(self, maps, conv):
        C, _, W = maps.shape
        out = []
        for i in range(T):
            for c in range(W):
                total = conv.bias
                for a in range(3):
                    for d in range(3):
                        row = i + 2 * (a - 2 if self.causal else a - 1)
                        column = c + 2 * (d - 1)
                        if 0 <= row < T and 0 <= column < W:
                            total = total + conv.weight[:, :, a, d] @ maps[:, row, column]
                out.append(total)
        return torch.stack(out).view(T, W, C).permute(2, 0, 1)

    def kept(self, i):
        """The cells (head, column) of a query that are kept."""
        W = self.module.config.width
        number = round(H * self.module.config.k * W / max(1, self.n[i]))
        shares = {(h, c): p for h in range(H)
                  for c, p in enumerate(self.scores[h, i].softmax(dim=0).tolist())}  # fmt: skip
        return sorted(shares, key=shares.get, reverse=True)[: min(H * W, max(1, number))]


def by_loop(module, x, mask):
    """A formula of one row, and the loops of the two items."""
    q, k, v = projected(module, x)
    items = []
    for b in range(2):
        pairs = torch.ones(T, T).tril(0 if module.is_causal else T).bool()
        if mask is not None:
            pairs = pairs & mask[b]
        seen = [pairs[i].nonzero().flatten().tolist() for i in range(T)]
        keys = [j for j in range(T) if mask is None or (
            mask[b, j] if mask.ndim == 2 else mask[b, :, j].any())]  # fmt: skip
        items.append(Loop(module, q[b], k[b], v[b], seen, keys))

    def row(b, h, i, query, keys, values, seen):
        item = items[b]
        if not seen:
            return 0 * query
        kept = item.kept(i)
        found = attend(query, keys, values, [j for j in seen if (h, item.column[i, j]) in kept])
        first, second = item.gates[h, i]
        return second * first * found + (1 - second) * values[seen].mean(dim=0)

    return row, items


@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize(("k", "width"), [(2, 8), (1, 16)])
def test_equals_the_loop(k, width, masked, causal):
    module = layer(causal, k=k, width=width).double()
    x = torch.randn(2, T, H * K, dtype=torch.float64, requires_grad=True)
    mask = masks(masked, T, T)
    promised = torch.ones(2, T, 1)
    if masked != "none":
        promised[1, T // 3 :] = 0  # padding
    expected = by_rows(module, x, None, mask, by_loop(module, x, mask)[0]) * promised
    leaves = {"x": x, **dict(module.named_parameters())}
    for need_weights in (False, True):
        out = module(x, mask=mask, need_weights=need_weights).out
        assert_same(out * promised, expected, leaves)


def test_the_mean_share_of_kept_keys_is_k():
    x = torch.randn(2, 256, H * K)
    for width, k in ((16, 16), (64, 12)):
        module = layer(k=k, width=width).eval()
        kept = module.cells(x)
        keys = kept.sum(dim=(1, 3)) * (256 // width)
        assert keys.eq(H * k).all()
        weights = module(x, need_weights=True).weights
        low = weights.amin(dim=-1, keepdim=True)
        found = (weights > low + 1e-9).sum(dim=(1, 3)).float().mean()
        assert_close(found, torch.tensor(float(H * k)), rtol=0.01, atol=0.0)


def test_the_estimate_is_drawn_to_the_weights_of_all_keys():
    module, x = (
        layer(width=8, estimate_loss=2.0).double(),
        torch.randn(2, T, H * K, dtype=torch.float64),
    )
    loss = module(x).losses["estimate"]
    _, items = by_loop(module, x, None)
    q, k, _ = projected(module, x)
    apart, square = [], []
    for b in range(2):
        for h in range(H):
            for i in range(T):
                theirs = (k[b, h] @ q[b, h, i] / K**0.5).softmax(dim=0)
                ours = [items[b].scores[h, i, items[b].column[i, j]] for j in range(T)]
                ours = torch.stack(ours).softmax(dim=0)
                apart.append((theirs * (theirs / ours).log()).sum())
                square.append((theirs - ours).square())
    expected = 2 * (0.1 * torch.stack(apart).mean() + torch.cat(square).mean())
    assert_close(loss, expected)


def test_without_distillation_the_gates_are_trained_alone():
    x = torch.randn(2, T, H * K)
    for scale in (0.0, 1.0):
        module = layer(estimate_loss=scale)
        output = module(x)
        assert bool(output.losses) == (scale > 0)
        (output.out.square().mean() + sum(output.losses.values())).backward()
        assert module.estimate.gates.weight.grad.abs().sum() > 0
        trained = [module.estimate.decode, *module.estimate.convs]
        assert all((part.weight.grad is not None) == (scale > 0) for part in trained)
        assert module.eval()(x).losses == {}


def test_distillation_brings_the_estimate_nearer():
    module, x = layer(width=16, estimate_loss=1.0), torch.randn(2, 40, H * K)
    optimiser = torch.optim.Adam(module.estimate.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        loss = module(x).losses["estimate"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_directions_are_at_right_angles_and_their_features_estimate_softmax():
    torch.manual_seed(0)
    lines = directions(40000, K)
    q, k = F.normalize(torch.randn(5, K), dim=1), F.normalize(torch.randn(7, K), dim=1)
    features = [(x @ lines.T - x.square().sum(dim=1, keepdim=True) / 2).exp() for x in (q, k)]
    assert_close(features[0] @ features[1].T / 40000, (q @ k.T).exp(), rtol=0.1, atol=0.05)
    assert_close(lines.mean(dim=0), torch.zeros(K), rtol=0, atol=0.03)
    at = F.normalize(lines[:8], dim=-1)
    for part in (at[:4], at[4:]):
        assert_close(part @ part.T, torch.eye(4), **TOLERANCE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, r"k: expected a positive number, given 0"),
        ({"width": 0}, r"width: expected a positive number, given 0"),
        ({"width": 6}, r"width: expected a multiple of 4, given 6"),
        ({"estimate_loss": -1.0}, r"estimate_loss: expected zero or more, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
