"""A handful of positions for all, against a loop that chooses and reads them."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.chosen import masks, projected
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "four": {"k": 4, "base": 100.0},
    "two": {"k": 2},
}
USES = ["self", "cross"]
S, TEXT = 13, 5


def layer(use="self", name="bottleneck", **settings):
    torch.manual_seed(0)
    return attention.build(name, dims=12, heads=3, cross=use == "cross", **settings)


def by_loop(module, x, xa, mask):
    q, k, v = projected(module, x, xa)  # (B, H, ·, K)
    (B, H, T, K), S = q.shape, k.shape[2]
    rows = []
    for b in range(B):
        pool = [j for j in range(S) if mask is None or mask[b, ..., j].any()]
        asked = torch.stack([(module.reader * k[b, :, j]).sum() / math.sqrt(H * K) for j in pool])
        logs = asked - asked.exp().sum().log()
        best = sorted(range(len(pool)), key=lambda n: -asked[n])[: module.config.k]
        for i in range(T):
            seen = [
                n for n in best if mask is None or mask[b, i if mask.ndim == 3 else ..., pool[n]]
            ]
            for h in range(H):
                if not seen:
                    rows.append(0 * q[b, h, i])
                    continue
                p = torch.stack([(logs[n] - logs[n].detach()).exp() for n in seen])  # 1
                keys = [pool[n] for n in seen]
                e = p * (k[b, h, keys] @ q[b, h, i] / math.sqrt(K)).exp()
                rows.append(e @ v[b, h, keys] / e.sum())
    return module.out(torch.stack(rows).view(B, T, -1))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("k", [1, 4, 8, 40])
def test_equals_the_loop(k, masked, use):
    module = layer(use, k=k)
    T = TEXT if use == "cross" else S
    x = torch.randn(2, T, 12, requires_grad=True)
    leaves = {"x": x, **dict(module.named_parameters())}
    xa = None
    if use == "cross":
        leaves["xa"] = xa = torch.randn(2, S, 12, requires_grad=True)
    mask = masks(masked, T, S)
    expected = by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("k", [1, 4])
def test_all_heads_and_queries_read_the_same_few(k):
    module, x = layer(k=k), torch.randn(2, 30, 12)
    weights = module(x, need_weights=True).weights
    read = weights.sum(dim=(1, 2)) > 0
    assert read.sum(dim=1).tolist() == [k, k]
    rank = torch.linalg.matrix_rank(weights[0, 0].double())
    assert rank <= k


def test_the_choice_is_made_before_anything_is_asked():
    """The state is of the audio alone: what is written later never moves it."""
    module, xa = layer("cross", k=4), torch.randn(1, 30, 12)
    chosen = [
        module(torch.randn(1, n, 12), xa, need_weights=True).weights.sum(dim=(0, 1, 2)) > 0
        for n in (1, 9)
    ]
    assert torch.equal(*chosen)


@pytest.mark.parametrize("k", [1, 2])
def test_what_is_not_chosen_gets_no_gradient(k):
    module, xa = layer("cross", k=k), torch.randn(1, 9, 12, requires_grad=True)
    output = module(torch.randn(1, 3, 12), xa, need_weights=True)
    output.out.square().sum().backward()
    chosen = output.weights.sum(dim=(0, 1, 2)) > 0
    assert torch.equal(xa.grad[0].ne(0).any(dim=-1), chosen)
    assert (module.reader.grad.abs().max() > 1e-6) == (k > 1)  # of one alone it learns nothing


def test_the_question_learns_what_is_worth_reading():
    """One frame in twenty tells what is wanted, by its first column: r finds it."""
    torch.manual_seed(0)
    module = attention.build("bottleneck", dims=8, heads=1, k=2)
    for part in (module.key, module.value, module.out):
        torch.nn.init.eye_(part.weight)
    torch.nn.init.zeros_(module.query.weight)
    optimiser = torch.optim.Adam([module.reader], lr=0.05)
    hits = []
    for _ in range(150):
        x = 0.3 * torch.randn(16, 20, 8)
        told = torch.randint(20, (16,))
        x[torch.arange(16), told, :2] = torch.tensor([3.0, 2.0])
        output = module(x, need_weights=True)
        loss = (output.out[..., 1] - 2).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        hits.append((output.weights[torch.arange(16), 0, 0, told] > 0).float().mean().item())
    assert sum(hits[-20:]) / 20 > 0.95
    assert module.reader[0, 0] > 0


def test_room_for_all_is_plain_attention():
    plain, x = layer(name="whisper"), torch.randn(2, 30, 12)
    for k, same in ((30, True), (31, True), (29, False)):
        out = layer(k=k).adopt(plain)(x).out
        assert torch.allclose(out, plain(x).out, **TOLERANCE) == same


def test_a_row_sums_to_one_or_sees_nothing_of_what_was_chosen():
    module, x = layer(k=1), torch.randn(1, 9, 12)
    chosen = module(x, need_weights=True).weights.sum(dim=(0, 1, 2)).argmax()
    pairs = torch.ones(1, 9, 9, dtype=torch.bool)
    pairs[0, 3, chosen] = False
    sums = module(x, mask=pairs, need_weights=True).weights.sum(dim=-1)
    assert_close(sums, (torch.arange(9) != 3).float().expand(1, 3, 9))


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"k: expected a positive number, given 0"):
        layer(k=0)
