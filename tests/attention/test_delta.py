"""The delta rule, against its recurrence and against products of its transitions."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.linear.delta import left_of, unit, written
from tests.reference.compare import assert_same
from tests.reference.linear import EXACT, inputs, leaves_of, projected
from tests.reference.published import turned

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "rotary": {"base": 50.0},
}


def layer(use="causal", dims=8, heads=2, **settings):
    torch.manual_seed(0)
    module = attention.build("delta", dims=dims, heads=heads, causal=use == "causal", **settings)
    module.norm.weight.data.uniform_(0.5, 1.5)
    return module.double()


def parts(module, x):
    """Of every head: q and k of length 1 and v, (B, S, H, K); β (B, S, H)."""
    q, k, v = (part / (1 + torch.exp(-part)) for part in projected(module, x))
    q, k = (a / (a.square().sum(-1, keepdim=True) + 1e-6).sqrt() for a in (q, k))
    if module.base is not None:
        q, k = (torch.stack([turned(item, module.base) for item in part]) for part in (q, k))
    return q, k, v, 1 / (1 + torch.exp(-(x @ module.beta.weight.T)))


def read_along(places, q, k, v, beta):
    """What one head of one item reads at each of its places, in their order."""
    memory, out, one = q.new_zeros(q.shape[-1], q.shape[-1]), {}, torch.eye(q.shape[-1])
    for t in places:
        forgotten = memory @ (one - beta[t] * torch.outer(k[t], k[t]))
        memory = forgotten + beta[t] * torch.outer(v[t], k[t])
        out[t] = memory @ q[t] / q.shape[-1] ** 0.5
    return out


def by_loop(module, x, mask):
    (B, T, _), H = x.shape, module.heads
    q, k, v, beta = parts(module, x)
    if mask is not None:
        beta = beta * mask[:, :, None]  # a hidden key is not written
    heads = []
    for b in range(B):
        for h in range(H):
            of = q[b, :, h], k[b, :, h], v[b, :, h], beta[b, :, h]
            ahead, places = read_along(range(T), *of), range(T)
            back = read_along(reversed(places), *of)
            read = [ahead[t] if module.is_causal else ahead[t] + back[t] for t in places]
            heads.append(torch.stack(read))
    o = torch.stack(heads).view(B, H, T, -1)
    o = o / (o.square().mean(-1, keepdim=True) + 1e-5).sqrt() * module.norm.weight
    return module.out(o.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("masked", ["none", "keys", "late"])
@pytest.mark.parametrize("use", ["self", "causal"])
@pytest.mark.parametrize("base", [None, 50.0])
def test_equals_the_recurrence(base, use, masked):
    module, (x, _, mask) = layer(use, base=base), inputs(use, masked)
    leaves, expected = leaves_of(module, x), by_loop(module, x, mask)
    assert_same(module(x, mask=mask).out, expected, leaves, EXACT)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves, EXACT)


@pytest.mark.parametrize("T", [1, 64, 129, 300])
def test_chunks_of_any_fill_are_the_recurrence(T):
    module, x = layer(), torch.randn(2, T, 8, dtype=torch.float64)
    assert_close(module(x).out, by_loop(module, x, None), **EXACT)


def test_a_weight_is_what_later_keys_left_of_it():
    """A_tj = β_j q_tᵀ (I - β_t k_t k_tᵀ) ... (I - β_{j+1} k_{j+1} k_{j+1}ᵀ) k_j / √K."""
    module, x = layer(heads=1), torch.randn(1, 7, 8, dtype=torch.float64)
    q, k, _, beta = (part[0, :, 0] for part in parts(module, x))
    weights = module(x, need_weights=True).weights[0, 0]
    for t in range(7):
        for j in range(7):
            left = k[j] if j <= t else 0 * k[j]
            for i in range(j + 1, t + 1):
                left = left - beta[i] * k[i] * (k[i] @ left)
            assert_close(weights[t, j], beta[j] * q[t] @ left / 8**0.5, **EXACT)


def test_the_chunks_the_recurrence_and_the_matrix_meet_in_single_precision():
    q, k, v = torch.randn(3, 2, 2, 200, 16)
    q, k = unit(q), torch.cat((unit(k), torch.rand(2, 2, 200, 1)), dim=-1)
    out, memory = written(q, k, v, None)
    assert_close(out, left_of(q, k) @ v, rtol=1e-5, atol=1e-5)
    steps = torch.zeros_like(memory)
    for t in range(200):
        key, beta = k[:, :, t : t + 1, :-1], k[:, :, t : t + 1, -1:]
        steps = steps + key.mT @ (beta * (v[:, :, t : t + 1] - key @ steps))
    assert_close(memory, steps, rtol=1e-5, atol=1e-5)


def test_writing_again_replaces_where_a_sum_would_add():
    key = unit(torch.randn(1, 1, 1, 6, dtype=torch.float64)).expand(1, 1, 4, 6)
    v = torch.randn(1, 1, 4, 6, dtype=torch.float64)
    out, _ = written(key, torch.cat((key, torch.ones_like(key[..., :1])), dim=-1), v, None)
    assert_close(out, v, rtol=1e-4, atol=1e-4)  # up to the 1e-6 in the length
    added = (key @ key.mT).tril() @ v
    assert not torch.allclose(added, v, atol=0.1)


def test_of_crowded_keys_more_is_recalled_than_a_sum_recalls():
    """Up to K keys, and with few more, the last written are recalled best."""
    torch.manual_seed(0)
    n, K = 24, 32
    k, v = unit(torch.randn(20, 1, n, K)), torch.randn(20, 1, n, K)
    _, memory = written(k, torch.cat((k, torch.ones_like(k[..., :1])), dim=-1), v, None)

    def error(memory):
        return (k @ memory - v).square().mean(dim=(0, 1, 3))

    delta, hebbian = error(memory), error(k.mT @ v)
    assert delta.mean() < 0.8 * hebbian.mean()
    assert delta[-1] < 1e-3 < delta[0]
    assert hebbian.std() < 0.3 * hebbian.mean()  # no place is better than another


def test_a_mask_of_pairs_is_refused():
    module, x = layer(), torch.randn(1, 5, 8, dtype=torch.float64)
    with pytest.raises(attention.UnsuitedError, match="DeltaAttention takes no mask of pairs"):
        module(x, mask=torch.ones(1, 5, 5, dtype=torch.bool))
