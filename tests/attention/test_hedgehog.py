"""Hedgehog's learned features, against a loop over queries and against softmax attention."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.linear.hedgehog import features
from focused_attention.metrics.sharpness import entropy
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "mimics": {"mimicry": 0.5},
    "rotary": {"base": 50.0},
}

USES = ["self", "causal", "cross"]


def layer(use="self", dims=8, heads=2, trained=True, **settings):
    torch.manual_seed(0)
    module = attention.build(
        "hedgehog", dims=dims, heads=heads, causal=use == "causal", cross=use == "cross", **settings
    )
    if trained:
        for maps in (module.query_map, module.key_map):
            maps.data.add_(torch.randn_like(maps), alpha=0.5)
    return module


def masks(kind, T, S):
    keys = torch.arange(S) < torch.tensor([S, S // 3])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    return {"none": None, "keys": keys, "pairs": pairs}[kind]


def phi(w, x):
    """The two softmaxes of w x, exponential by exponential."""
    y = [sum(w[a, b] * x[a] for a in range(len(x))) for b in range(len(x))]
    ups, downs = [torch.exp(a) for a in y], [torch.exp(-a) for a in y]
    return torch.stack([a / sum(ups) for a in ups] + [a / sum(downs) for a in downs])


def by_loop(module, x, xa, mask):
    """Outputs, and the rows that give the loss: one head of one query at a time."""
    source = x if xa is None else xa
    (B, T, _), S, H = x.shape, source.shape[1], module.heads
    q = module.query(x).view(B, T, H, -1)
    k, v = (part(source).view(B, S, H, -1) for part in (module.key, module.value))
    rows, losses = [], []
    for b in range(B):
        for h in range(H):
            keys = [phi(module.key_map[h], k[b, j, h]) for j in range(S)]
            for i in range(T):
                seen = [j for j in range(S) if not (module.is_causal and j > i)]
                if mask is not None:
                    seen = [j for j in seen if (mask[b, j] if mask.ndim == 2 else mask[b, i, j])]
                if not seen:
                    rows.append(torch.zeros_like(v[b, 0, h]))
                    continue
                query = phi(module.query_map[h], q[b, i, h])
                a = torch.stack([query @ keys[j] for j in seen])
                a = a / a.sum()
                rows.append(a @ v[b, seen, h])
                softmax = (k[b, seen, h] @ q[b, i, h] / math.sqrt(q.shape[-1])).softmax(dim=0)
                padding = xa is None and mask is not None and mask.ndim == 2 and not mask[b, i]
                if not padding:
                    losses.append(-(softmax * a.log()).sum())
    out = torch.stack(rows).view(B, H, T, -1).transpose(1, 2).flatten(2)
    return module.out(out), torch.stack(losses).mean()


@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("use", USES)
def test_outputs_and_loss_equal_the_loop(use, masked):
    module, S = layer(use, mimicry=0.3), 11
    x = torch.randn(2, 5 if use == "cross" else S, 8, requires_grad=True)
    xa = torch.randn(2, S, 8, requires_grad=True) if use == "cross" else None
    mask = masks(masked, x.shape[1], S)
    expected, loss = by_loop(module, x, xa, mask)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    for need_weights in (False, True):
        found = module(x, xa, mask, need_weights=need_weights)
        assert_same(found.out, expected, leaves)
        maps = {name: leaves[name] for name in ("query_map", "key_map")}
        assert_same(found.losses["mimicry"], 0.3 * loss, maps)


def test_the_loss_trains_the_maps_alone():
    module = layer(mimicry=1.0)
    loss = module(torch.randn(2, 9, 8)).losses["mimicry"]
    names, parameters = zip(*module.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    assert {n for n, g in zip(names, grads, strict=True) if g is not None} == {
        "query_map", "key_map",
    }  # fmt: skip
    assert not layer()(torch.randn(2, 9, 8)).losses


def test_padding_is_no_part_of_the_loss():
    module, x = layer(mimicry=1.0), torch.randn(1, 9, 8)
    mask = torch.arange(9)[None] < 6
    alone = module(x[:, :6]).losses["mimicry"]
    assert_close(module(x, mask=mask).losses["mimicry"], alone)
    assert module(x, mask=mask & False).losses["mimicry"] == 0


def test_it_learns_to_mimic_softmax_and_gets_sharper():
    plain = attention.build("whisper", dims=32, heads=2)
    module, x = layer(dims=32, trained=False, mimicry=1.0).adopt(plain), 3 * torch.randn(2, 20, 32)
    target = plain(x, need_weights=True).weights

    def measured():
        weights = module(x, need_weights=True).weights
        return (weights - target).abs().sum(dim=-1).mean(), entropy(weights).mean()

    before, flat = measured()
    optimiser = torch.optim.Adam([module.query_map, module.key_map], lr=0.05)
    for _ in range(40):
        optimiser.zero_grad()
        module(x).losses["mimicry"].backward()
        optimiser.step()
    after, sharp = measured()
    assert after < 0.5 * before
    assert sharp < flat - 0.5


def test_it_starts_from_the_softmax_of_what_it_adopted():
    plain = attention.build("whisper", dims=8, heads=2)
    module, x = layer(trained=False).adopt(plain), torch.randn(1, 6, 8)
    q, k = (module.split(part(x)) for part in (plain.query, plain.key))
    ours = torch.cat((q.softmax(-1), (-q).softmax(-1)), -1)
    theirs = torch.cat((k.softmax(-1), (-k).softmax(-1)), -1)
    expected = ours @ theirs.mT
    expected = expected / expected.sum(dim=-1, keepdim=True)
    assert_close(module(x, need_weights=True).weights, expected, **TOLERANCE)


def test_two_softmaxes_are_not_one_over_both_signs():
    """flash-linear-attention has one softmax, of [2 W x + 2 b, -2 W x - 2 b]."""
    x, w = torch.randn(1, 2, 30, 4), torch.eye(4).repeat(2, 1, 1)
    ours, doubled = features(x, w), 2 * x
    joint = torch.cat((doubled, -doubled), dim=-1).softmax(dim=-1)
    assert_close(ours.sum(dim=-1), torch.full((1, 2, 30), 2.0))
    assert_close(joint.sum(dim=-1), torch.ones(1, 2, 30))
    rows, others = ((y @ y.mT) / (y @ y.mT).sum(dim=-1, keepdim=True) for y in (ours, joint))
    assert (rows - others).abs().amax(dim=-1).mean() > 0.02


def test_queries_far_from_every_key_still_sum_to_one():
    x = torch.zeros(1, 2, 1, 8)
    x[..., 0] = 500.0
    weights = (
        features(x, torch.eye(8).repeat(2, 1, 1)) @ features(-x, torch.eye(8).repeat(2, 1, 1)).mT
    )
    assert (weights > 0).all()


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"mimicry: expected zero or more, given -0.1"):
        layer(mimicry=-0.1)
