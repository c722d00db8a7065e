"""α-entmax, against a loop that bisects, and against the package of its authors."""

import math

import entmax as published
import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.softmax import entmax as ours
from focused_attention.attention.softmax.entmax import entmax
from tests.reference.compare import assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "sparsemax": {"alpha": 2.0},
    "learned": {"alpha": None, "base": 50.0},
    "softmax": {"alpha": 1.0},
}

USES = ["self", "causal", "cross"]
ALPHAS = [1.01, 1.1, 1.5, 1.8, 2.0]


def layer(use="self", dims=8, heads=2, **settings):
    torch.manual_seed(0)
    module = attention.build(
        "entmax", dims=dims, heads=heads, causal=use == "causal", cross=use == "cross", **settings
    )
    return module.double()


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def masks(kind, T, S):
    keys = torch.arange(S) < torch.tensor([S, S // 3])[:, None]
    pairs = (torch.rand(2, T, S) < 0.7) & keys[:, None]
    return {"none": None, "keys": keys, "pairs": pairs}[kind]


def row(s, alpha):
    """Bisected; a last step that autograd can follow brings the gradient of the threshold."""

    def weights(tau):
        over = (alpha - 1) * s - tau
        return torch.where(over > 0, over.clamp(min=1e-300) ** (1 / (alpha - 1)), 0.0)

    with torch.no_grad():
        high = (alpha - 1) * s.max()
        low = high - 1
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if weights(middle).sum() > 1 else (low, middle)
        p = weights(low)
        slope = (p[p > 0] ** (2 - alpha)).sum() / (alpha - 1)
    return weights(low + (weights(low).sum() - 1) / slope)


def by_loop(module, x, xa, mask):
    """One head of one query at a time, from the projections on."""
    source = x if xa is None else xa
    (B, T, _), S, H = x.shape, source.shape[1], module.heads
    q = module.query(x).view(B, T, H, -1)
    k, v = (part(source).view(B, S, H, -1) for part in (module.key, module.value))
    alphas = [module.config.alpha] * H
    if module.config.alpha is None:
        alphas = [1 + 1 / (1 + torch.exp(-a)) for a in module.a]
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [j for j in range(S) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if (mask[b, j] if mask.ndim == 2 else mask[b, i, j])]
            for h in range(H):
                if seen:
                    p = row(k[b, seen, h] @ q[b, i, h] / math.sqrt(q.shape[-1]), alphas[h])
                    rows.append(p @ v[b, seen, h])
                else:
                    rows.append(torch.zeros_like(v[b, 0, h]))
    return module.out(torch.stack(rows).view(B, T, -1))


@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("alpha", [1.5, 2.0, None], ids=str)
@pytest.mark.parametrize("use", USES)
def test_equals_the_loop_in_double_precision(use, alpha, masked):
    module, S = layer(use, alpha=alpha), 7
    x = 3 * random(2, 3 if use == "cross" else S, 8)
    xa = 3 * random(2, S, 8) if use == "cross" else None
    mask = masks(masked, x.shape[1], S)
    leaves = {"x": x.requires_grad_(), **dict(module.named_parameters())}
    leaves |= {} if xa is None else {"xa": xa.requires_grad_()}
    expected = by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)


@pytest.mark.parametrize("S", [1, 7, 300])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize(
    ("alpha", "theirs"),
    [(1.5, published.entmax15), (2.0, published.sparsemax)],
    ids=("entmax15", "sparsemax"),
)
def test_equals_the_package_in_single_precision(alpha, theirs, scale, S):
    scores = (scale * torch.randn(5, S)).requires_grad_()
    assert_same(entmax(scores, alpha), theirs(scores, dim=-1), {"scores": scores})


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_equals_the_bisection_of_the_package(alpha, scale):
    """In double precision: for its gradient the package takes a difference by (α - 1)²."""
    scores = (scale * random(2, 3, 5, 40)).requires_grad_()
    alphas = torch.full((3, 1, 1), alpha, dtype=torch.float64, requires_grad=True)
    theirs = published.entmax_bisect(scores, alphas, dim=-1, n_iter=60)
    assert_same(entmax(scores, alphas), theirs, {"scores": scores, "alpha": alphas})


@pytest.mark.parametrize("alpha", [1.2, 1.5, 2.0])
def test_the_gradient_is_that_of_differences(alpha):
    scores = random(4, 6).requires_grad_()
    alphas = torch.full((4, 1), alpha, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(entmax, (scores, alphas if alpha < 2 else 2.0))


def test_rows_in_pieces_are_rows(monkeypatch):
    scores, alphas = random(2, 3, 5, 40), torch.tensor([1.1, 1.5, 2.0]).double()[:, None, None]
    whole = entmax(scores, alphas)
    monkeypatch.setattr(ours, "CACHED", 80)
    assert_close(entmax(scores, alphas), whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_newton_needs_few_steps_and_no_step_goes_too_far(alpha, monkeypatch):
    """For rows flat, geometric, with ties and of one key above all."""
    ladder = torch.arange(500.0, dtype=torch.float64)
    rows = [0 * ladder, -ladder / 500, -(1.01**ladder), -ladder.sqrt(), -(ladder // 100), -ladder]
    x = torch.stack([row - row.max() for row in rows]) * (alpha - 1)
    power = torch.tensor(alpha, dtype=torch.float64)
    monkeypatch.setattr(ours, "STEPS", 14)
    tau = ours.threshold(x, power)
    total = ((x - tau).clamp(min=0) ** (1 / (power - 1))).sum(dim=-1)
    assert_close(total, torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-10)
    monkeypatch.setattr(ours, "STEPS", 3)
    assert (ours.threshold(x, power) <= tau + 1e-12).all()


def test_low_scores_get_exactly_zero_and_more_of_them_the_greater_alpha():
    scores, counts = 2 * torch.randn(20, 100), []
    for alpha in (1.01, 1.2, 1.5, 2.0):
        p = entmax(scores, alpha)
        assert_close(p.sum(dim=-1), torch.ones(20))
        counts.append((p > 0).sum().item())
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 10 * counts[-1]


def test_a_key_of_weight_zero_gets_no_gradient():
    scores = torch.randn(6, 50, requires_grad=True)
    p = entmax(scores, 1.5)
    (p * torch.randn(6, 50)).sum().backward()
    assert torch.equal(scores.grad != 0, p > 0)
    assert (p == 0).any()


@pytest.mark.parametrize("alpha", [1.5, 2.0, 1.3])
def test_a_row_that_sees_nothing_is_zero(alpha):
    scores = torch.full((2, 3), -torch.inf)
    scores[0, 1:] = 0.0
    scores.requires_grad_()
    p = entmax(scores, alpha)
    assert_close(p, torch.tensor([[0, 0.5, 0.5], [0, 0, 0]]))
    p.square().sum().backward()
    assert torch.equal(scores.grad, torch.zeros(2, 3))


def test_alpha_one_is_plain_attention_to_the_bit_and_is_neared():
    plain, x = attention.build("whisper", dims=8, heads=2).double(), random(2, 30, 8)
    assert torch.equal(layer(alpha=1.0).adopt(plain)(x).out, plain(x).out)
    away = [(layer(alpha=a).adopt(plain)(x).out - plain(x).out).abs().max() for a in (1.1, 1.001)]
    assert away[1] < 0.02 * away[0]


def test_every_head_learns_its_own_alpha():
    module = layer(alpha=None)
    assert module.state_dict().keys() - layer().state_dict().keys() == {"a"}
    module.a.data = torch.tensor([-100.0, 100.0], dtype=torch.float64)
    assert module.alpha.flatten().tolist() == [1.01, 2.0]
    module.a.data = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    output = module(random(1, 30, 8), need_weights=True)
    fewer = (output.weights > 0).sum(dim=(0, 2, 3))
    assert fewer[0] > fewer[1]
    output.out.square().mean().backward()
    assert (module.a.grad != 0).all()


@pytest.mark.parametrize("alpha", [0.5, 2.1])
def test_a_bad_setting_is_named(alpha):
    with pytest.raises(ValueError, match=rf"alpha: expected a number from 1 to 2.*given {alpha}"):
        layer(alpha=alpha)
