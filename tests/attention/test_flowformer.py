"""Flow attention, against loops over positions, causal and not."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.linear import flowformer
from tests.reference.compare import assert_same
from tests.reference.linear import EXACT, inputs, leaves_of, projected
from tests.reference.published import turned

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "rotary": {"base": 50.0},
}

EPS = 1e-6


def layer(use="causal", dims=8, heads=2, **settings):
    torch.manual_seed(0)
    return attention.build(
        "flowformer", dims=dims, heads=heads, causal=use == "causal", **settings
    ).double()


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def flow(x, total):
    return (x + EPS) @ (total + EPS)


def bidirectional(q, k, v, sources, cut=1.0):
    """One head of one item: queries (T, K), of which `sources` are no padding, and their keys."""
    n, m = len(k), len(sources)
    keys, queries = k.sum(dim=0), q[sources].sum(dim=0)
    I = torch.stack([flow(a, keys) for a in q])  # noqa: E741
    O = torch.stack([flow(b, queries) for b in k])  # noqa: E741
    given = (k / O[:, None]).sum(dim=0)
    taken = (q[sources] / I[sources, None]).sum(dim=0)
    strength = torch.stack([torch.exp(flow(b, taken).clamp(-cut, cut)) for b in k])
    share = strength / strength.sum() * n
    rows = []
    for i in range(len(q)):
        read = ((k @ q[i]) * share) @ v
        rows.append(sigmoid(flow(q[i], given) * m / n) / I[i] * read)
    return torch.stack(rows)


def causal(q, k, v, seen, cut=1.0):
    """One head of one item whose keys (S, K) are `seen` or not."""
    keys = queries = given = taken = torch.zeros_like(q[0])
    memory, strengths, n, rows = torch.zeros(q.shape[1], v.shape[1]), 0.0, 0, []
    for i in range(len(q)):
        n += int(seen[i])
        if seen[i]:
            keys, queries = keys + k[i], queries + q[i]
        if not n:
            rows.append(torch.zeros_like(v[i]))
            continue
        I, O = flow(q[i], keys) / n, flow(k[i], queries) / n  # noqa: E741
        if seen[i]:
            given, taken = given + k[i] / O, taken + q[i] / I
            strength = torch.exp((flow(k[i], taken) / n).clamp(-cut, cut))
            strengths = strengths + strength
            memory = memory + torch.outer(k[i], strength / strengths * n * v[i])
        rows.append(sigmoid(flow(q[i], given) / n) * (q[i] / (I * n)) @ memory)
    return torch.stack(rows)


def by_loop(module, x, mask, **settings):
    q, k, v = projected(module, x)
    if module.base is not None:
        q, k = (torch.stack([turned(item, module.base) for item in part]) for part in (q, k))
    q, k = sigmoid(q), sigmoid(k)
    heads = []
    for b in range(len(x)):
        seen = torch.ones(x.shape[1], dtype=torch.bool) if mask is None else mask[b]
        places = seen.nonzero()[:, 0].tolist()
        for h in range(module.heads):
            if module.is_causal:
                of = q[b, :, h], k[b, :, h], v[b, :, h], seen
                heads.append(causal(*of, **settings))
            else:
                of = q[b, :, h], k[b, seen, h], v[b, seen, h], places
                heads.append(bidirectional(*of, **settings))
    out = torch.stack(heads).view(len(x), module.heads, x.shape[1], -1)
    return module.out(out.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("masked", ["none", "keys", "late"])
@pytest.mark.parametrize("use", ["self", "causal"])
def test_equals_the_loop(use, masked):
    module, (x, _, mask) = layer(use), inputs(use, masked)
    leaves, expected = leaves_of(module, x), by_loop(module, x, mask)
    assert_same(module(x, mask=mask).out, expected, leaves, EXACT)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves, EXACT)


@pytest.mark.parametrize("use", ["self", "causal"])
def test_rotated_features_equal_the_loop(use):
    module, (x, _, _) = layer(use, base=50.0), inputs(use, "none")
    assert_same(module(x).out, by_loop(module, x, None), leaves_of(module, x), EXACT)


@pytest.mark.parametrize("use", ["self", "causal"])
def test_the_cut_is_that_of_the_released_core_not_of_its_language_model(use, monkeypatch):
    module, (x, _, _) = layer(use), inputs(use, "none")
    x = 4 * x.detach()
    wide = by_loop(module, x, None, cut=5.0)
    assert not torch.allclose(module(x).out, wide, atol=1e-3)
    monkeypatch.setattr(flowformer, "BOUND", 5.0)
    assert_close(module(x).out, wide, **EXACT)


def test_keys_compete_for_a_fixed_resource():
    """The same key thrice gets no more than three of four shares, and a row sums to below one."""
    q, k = torch.rand(2, 1, 1, 40, 6, dtype=torch.float64)
    ones = torch.ones(1, 1, 40, 1, dtype=torch.float64)
    queries, keys = flowformer.conserved(q, k, ones)
    shares = keys[..., :1] / k[..., :1]
    assert_close(shares.mean(), ones.mean())
    assert shares.std() > 1e-3
    assert (queries @ keys.mT).sum(dim=-1).max() < torch.e
    strong = k.clone()
    strong[:, :, 0] *= 0.2  # gives out little
    weaker = flowformer.conserved(q, strong, ones)[1][..., :1] / strong[..., :1]
    assert weaker[0, 0, 0] < 1 < weaker[0, 0, 1:].mean()


def test_in_cross_attention_a_query_would_be_told_of_later_ones():
    """Why it is refused: the released form, where the last of five queries is another."""
    torch.manual_seed(0)
    q, k, v = torch.rand(5, 4).double(), torch.rand(9, 4).double(), torch.randn(9, 4).double()
    before = bidirectional(q, k, v, list(range(5)))
    q[4] = torch.tensor([1.0, 0, 0, 0])
    assert (bidirectional(q, k, v, list(range(5)))[0] - before[0]).abs().max() > 1e-4
    with pytest.raises(ValueError, match="flowformer: cannot attend to another sequence"):
        attention.build("flowformer", dims=8, heads=2, cross=True)


def test_a_mask_of_pairs_is_refused():
    module, x = layer(), torch.randn(1, 5, 8, dtype=torch.float64)
    with pytest.raises(attention.UnsuitedError, match="FlowformerAttention takes no mask of pairs"):
        module(x, mask=torch.ones(1, 5, 5, dtype=torch.bool))
