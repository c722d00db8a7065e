"""Mixture of heads, against a loop over positions that follows the released code."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "no shared": {"shared": 0, "top_k": 3, "base": 100.0},
    "norm": {"shared": 1, "top_k": 2, "router": "norm"},
}

USES = ["self", "causal", "cross"]
D, H = 24, 6
SETTINGS = [
    {},
    {"shared": 0, "top_k": 2},
    {"shared": 1, "top_k": 5},
    {"router": "norm"},
    {"router": "norm", "shared": 0, "top_k": 4},
    {"router": "norm", "shared": 5},
]


def layer(use="self", seed=0, depth=1, **settings):
    torch.manual_seed(seed)
    module = attention.build(
        "mixture_of_heads", dims=D, heads=H, causal=use == "causal", cross=use == "cross",
        depth=depth, **settings,
    )  # fmt: skip
    for name, weight in module.named_parameters():
        if name.startswith(("choose", "share")):
            torch.nn.init.normal_(weight)  # so that gates are far from equal
    return module


def choice(module, x, q):
    """Gates (H,) of a position, its probabilities and its choice (E,); q (H, K)."""
    n, k = module.shared, module.top_k
    E = H - n
    if module.config.router == "norm":
        norms = torch.stack([q[h].square().sum().sqrt() for h in range(n, H)])
        if E > 1:
            deviation = ((norms - norms.mean()).square().sum() / (E - 1)).sqrt()
            norms = norms / max(deviation, norms.mean() / 20)
        else:
            norms = norms / (norms / 20)
        p = norms.softmax(dim=0)
    else:
        p = (module.choose.weight @ x).softmax(dim=0)
    best = sorted(range(E), key=lambda e: -p[e].item())[:k]
    chosen = torch.tensor([float(e in best) for e in range(E)])
    if module.config.router == "norm":
        return torch.cat((torch.ones(n), chosen + p - p.detach())), p, chosen
    routed = k * torch.stack([p[e] if e in best else torch.zeros(()) for e in range(E)])
    routed = routed / sum(p[e] for e in best)
    if n == 0:
        return routed, p, chosen
    share, mix = ((of.weight @ x).softmax(dim=0) for of in module.share)
    return torch.cat((n * share * 2 * mix[0], routed * 2 * mix[1])), p, chosen


def by_loop(module, x, xa, mask):
    """The output and the loss, one position and head at a time."""
    source, K = x if xa is None else xa, D // H
    q = x @ module.query.weight.T + module.query.bias
    k = source @ module.key.weight.T
    v = source @ module.value.weight.T + module.value.bias
    rows, every = [], []
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            seen = [j for j in range(source.shape[1]) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if mask[b, j]]
            gates, p, chosen = choice(module, x[b, i], q[b, i].view(H, K))
            if xa is not None or mask is None or mask[b, i]:
                every.append((p, chosen))
            heads = []
            for h in range(H):
                of = slice(h * K, (h + 1) * K)
                scores = k[b, seen, of] @ q[b, i, of] / math.sqrt(K)
                heads.append(gates[h] * (scores.softmax(dim=0) @ v[b, seen, of]))
            rows.append(torch.cat(heads))
    out = torch.stack(rows).view(x.shape) @ module.out.weight.T + module.out.bias
    mean_p, mean_chosen = (torch.stack(of).mean(dim=0) for of in zip(*every, strict=True))
    E = H - module.shared
    return out, 0.01 * E**2 * (mean_p * mean_chosen).mean() / module.depth


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equals_the_loop(settings, masked, use):
    module = layer(use, depth=3, **settings)
    T, S = (5, 7) if use == "cross" else (7, 7)
    x = torch.randn(2, T, D, requires_grad=True)
    xa = torch.randn(2, S, D, requires_grad=True) if use == "cross" else None
    mask = torch.arange(S) < torch.tensor([S, 3])[:, None] if masked else None
    expected, loss = by_loop(module, x, xa, mask)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    for need_weights in (False, True):
        out, _, losses = module(x, xa, mask, need_weights=need_weights)
        assert_same(out, expected, leaves)
        assert_same(losses["head_balance"], loss, leaves)


def test_every_position_chooses_its_heads_and_reads_the_shared_ones():
    module, x = layer(shared=2, top_k=1), torch.randn(1, 40, D)
    gates = module.gates(x, module.split(module.query(x)))[0]
    assert gates.shape == (1, 40, H)
    assert (gates[..., :2] > 0).all()
    assert gates[..., 2:].count_nonzero(dim=-1).eq(1).all()
    assert gates[0, :, 2:].argmax(dim=-1).unique().numel() == 4  # not all the same
    assert_close(gates.sum(dim=-1) > 0, torch.ones(1, 40, dtype=torch.bool))


def test_the_loss_is_least_where_heads_are_chosen_equally_and_is_one_there():
    module = layer(shared=0, top_k=1, balance=1.0)
    view = module.view(torch.randn(1, H, D), None, None, torch.randn(1, H, H, 4))
    equal = torch.full((1, H, H), 1 / H)
    assert_close(module.loss(equal, torch.eye(H)[None], view), torch.tensor(1.0))
    one = torch.zeros(1, H, H)
    one[..., 0] = 1.0
    assert_close(module.loss(one, one, view), torch.tensor(float(H)))  # E times the paper's 1


def test_there_is_a_loss_in_training_alone():
    module = layer()
    assert module(torch.randn(1, 9, D)).losses.keys() == {"head_balance"}
    assert module.eval()(torch.randn(1, 9, D)).losses == {}
    all_hidden = layer()(torch.randn(1, 9, D), mask=torch.zeros(1, 9, dtype=torch.bool))
    assert all_hidden.losses["head_balance"] == 0


def test_it_starts_near_plain_attention_of_the_heads_that_are_chosen():
    source, x = attention.build("whisper", dims=D, heads=H), torch.randn(1, 20, D)
    torch.manual_seed(0)
    linear, norm = (
        attention.build("mixture_of_heads", dims=D, heads=H, router=router).adopt(source)
        for router in ("linear", "norm")
    )
    for module in (linear, norm):
        q = module.split(module.query(x))
        gates = module.gates(x, q)[0]
        assert_close(gates, gates.round(), rtol=0, atol=0.0 if module is norm else 0.4)
        kept = gates.round().transpose(1, 2)[..., None]
        read = (source(x, need_weights=True).weights @ source.split(source.value(x))) * kept
        expected = source.out(read.transpose(1, 2).flatten(2))
        away = (module(x).out - expected).norm() / expected.norm()
        assert away < (1e-6 if module is norm else 0.2)


def test_a_temperature_changes_no_choice():
    module, x = layer(router="norm"), torch.randn(1, 20, D)
    before = module.gates(x, module.project(x, None)[0])
    module.temperature = torch.tensor([0.1, 9.0, 0.3, 7.0, 0.2, 5.0])
    for ours, theirs in zip(module.gates(x, module.project(x, None)[0]), before, strict=True):
        assert_close(ours, theirs, **TOLERANCE)


def test_equal_queries_are_chosen_among_without_trouble():
    module = layer(router="norm")
    torch.nn.init.zeros_(module.query.weight)
    torch.nn.init.ones_(module.query.bias)
    x = torch.randn(1, 9, D, requires_grad=True)
    out, _, losses = module(x)
    (out.sum() + losses["head_balance"]).backward()
    assert x.grad.isfinite().all()
    assert module.query.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"router": "hash"}, r"router: expected one of linear, norm, given 'hash'"),
        ({"shared": 6}, r"shared: expected fewer than the 6 heads, given 6"),
        ({"shared": -1}, r"shared: expected fewer than the 6 heads, given -1"),
        ({"top_k": 4}, r"top_k: expected 1 to 3 other heads, given 4"),
        ({"top_k": 0}, r"top_k: expected 1 to 3 other heads, given 0"),
        ({"balance": -1.0}, r"balance: expected zero or more, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
