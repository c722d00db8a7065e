"""Sharpness metrics: closed forms, scipy, loops written from the formulas, and planted heads."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy import stats
from scipy.spatial.distance import jensenshannon
from torch.testing import assert_close

from focused_attention.metrics import by_head
from focused_attention.metrics import sharpness as m
from focused_attention.metrics.by_head import Sharpness

TIGHT = {"rtol": 1e-12, "atol": 1e-12, "equal_nan": True}
ROW_METRICS = {
    "entropy": m.entropy,
    "normalised_entropy": m.normalised_entropy,
    "effective_support": m.effective_support,
    "participation": m.participation,
    "gini": m.gini,
    "hoyer": m.hoyer,
    "largest": m.largest,
    "top_mass": lambda p, visible=None: m.top_mass(p, visible, k=5),
    "cover": m.cover,
    "below": lambda p, visible=None: m.below(p, visible, eps=1e-3),
    "below_uniform": m.below,
    "first_mass": m.first_mass,
}
NEED_TWO_KEYS = {"normalised_entropy", "gini", "hoyer"}
every_metric = pytest.mark.parametrize("name", ROW_METRICS)

weight_rows = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12).filter(any)


def value(name, row, visible=None):
    return ROW_METRICS[name](torch.tensor(row, dtype=torch.float64), visible).item()


def random_weights(B=3, H=2, T=7, S=9, scale=2.0, seed=0, mask=None):
    """Softmax rows; mask broadcastable to (B, H, T, S)."""
    scores = scale * torch.randn(B, H, T, S, generator=torch.Generator().manual_seed(seed))
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1).nan_to_num(0.0)


def padding(lengths, size):
    return torch.arange(size) < torch.tensor(lengths)[:, None]


# Naive forms, from the textbook and not from the module.


def gini_loop(p):
    n, differences = len(p), sum(abs(a - b) for a in p for b in p)
    return differences / (2 * n * sum(p)) * n / (n - 1)


def hoyer_loop(p):
    n = len(p)
    return (math.sqrt(n) - sum(p) / math.sqrt(sum(a * a for a in p))) / (math.sqrt(n) - 1)


def cover_loop(p, gamma):
    held, p = 0.0, sorted(p)
    for k in range(1, len(p) + 1):
        held += p.pop()
        if held >= gamma * (1 - 1e-6):
            return k
    raise AssertionError("all keys together hold less than gamma")


@pytest.mark.parametrize("n", [2, 7, 100])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_uniform_rows(n, dtype):
    expected = {
        "entropy": math.log(n), "normalised_entropy": 1, "effective_support": n,
        "participation": n, "gini": 0, "hoyer": 0, "largest": 1 / n, "top_mass": min(1, 5 / n),
        "cover": math.ceil(0.9 * n), "below": 0, "below_uniform": 0, "first_mass": 1 / n,
    }  # fmt: skip
    row = torch.full((n,), 1 / n, dtype=dtype)
    assert {name: f(row).item() for name, f in ROW_METRICS.items()} == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 7, 100])
def test_one_hot_rows(n):
    expected = {
        "entropy": 0, "normalised_entropy": 0, "effective_support": 1, "participation": 1,
        "gini": 1, "hoyer": 1, "largest": 1, "top_mass": 1, "cover": 1,
        "below": (n - 1) / n, "below_uniform": (n - 1) / n, "first_mass": 0,
    }  # fmt: skip
    row = torch.eye(n)[n // 2]
    assert {name: f(row).item() for name, f in ROW_METRICS.items()} == pytest.approx(expected)


@pytest.mark.parametrize("r", [0.1, 0.5, 0.9])
def test_a_geometric_row_has_its_closed_forms(r):
    row = ((1 - r) * r ** torch.arange(700, dtype=torch.float64)).flip(0)
    nats = -((1 - r) * math.log(1 - r) + r * math.log(r)) / (1 - r)
    assert m.entropy(row).item() == pytest.approx(nats, rel=1e-12)
    assert m.participation(row).item() == pytest.approx((1 + r) / (1 - r), rel=1e-12)
    assert m.top_mass(row, k=3).item() == pytest.approx(1 - r**3, rel=1e-12)
    for gamma in (0.5001, 0.85, 0.98):
        assert m.cover(row, gamma=gamma).item() == math.ceil(math.log(1 - gamma) / math.log(r))


def test_entropy_equals_scipy():
    p = np.random.default_rng(0).dirichlet(np.full(50, 0.05), size=(3, 40))
    p[p < 1e-9] = 0.0
    ours = m.entropy(torch.from_numpy(p)).numpy()
    np.testing.assert_allclose(ours, stats.entropy(p, axis=-1), rtol=1e-12)


@given(weight_rows.filter(lambda row: len(row) > 1))
def test_gini_hoyer_and_cover_equal_loops(row):
    p = [a / sum(row) for a in row]
    assert value("gini", row) == pytest.approx(gini_loop(p), abs=1e-9)
    assert value("hoyer", row) == pytest.approx(hoyer_loop(p), abs=1e-9)
    for gamma in (0.5, 0.9, 1.0):
        ours = m.cover(torch.tensor(row, dtype=torch.float64), gamma=gamma).item()
        assert ours == cover_loop(p, gamma)


@given(weight_rows)
def test_every_metric_stays_in_its_range(row):
    n = len(row)
    bounds = {
        "entropy": (0, np.log(n)), "effective_support": (1, n * (1 + 1e-12)),
        "participation": (1, n), "largest": (1 / n - 1e-12, 1), "cover": (1, n),
    }  # fmt: skip
    for name in ROW_METRICS:
        low, high = bounds.get(name, (0, 1))
        if n == 1 and name in NEED_TWO_KEYS:
            assert math.isnan(value(name, row))
        else:
            assert low <= value(name, row) <= high, name


@given(weight_rows, st.integers(1, 5))
def test_keys_that_are_not_visible_change_nothing(row, extra):
    padded = row + [7.0] * extra
    visible = torch.arange(len(padded)) < len(row)
    for name in ROW_METRICS:
        plain, hidden = value(name, row), value(name, padded, visible)
        assert hidden == pytest.approx(plain, rel=1e-12, abs=1e-12, nan_ok=True), name


@given(weight_rows, st.floats(0.1, 100), st.randoms(use_true_random=False))
def test_neither_scale_nor_sign_nor_order_matters(row, scale, random):
    other = [scale * a * random.choice((-1, 1)) for a in row]
    random.shuffle(other)
    for name in ROW_METRICS.keys() - {"first_mass", "cover", "below", "below_uniform"}:
        assert value(name, other) == pytest.approx(
            value(name, row), rel=1e-9, abs=1e-9, nan_ok=True
        ), name


@every_metric
def test_empty_rows_have_no_sharpness(name):
    p = torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.5, 0.5]])
    visible = torch.tensor([[True, True], [True, True], [False, False]])
    assert ROW_METRICS[name](p, visible).isnan().tolist() == [False, True, True]


@every_metric
def test_masks_broadcast_and_rows_may_be_ranked_before(name):
    visible = padding([9, 5, 1], 9)[:, None, None]
    weights = random_weights(mask=visible)
    values = ROW_METRICS[name](weights, visible)
    assert values.shape == (3, 2, 7)
    assert values.dtype == torch.float64
    assert_close(values, ROW_METRICS[name](weights, visible.expand(3, 2, 7, 9)), **TIGHT)
    rows = m.normalise(weights, visible)
    assert_close(values, ROW_METRICS[name](rows), **TIGHT)
    if name == "first_mass":
        with pytest.raises(TypeError, match="positions"):
            m.first_mass(m.rank(rows))
    else:
        assert_close(values, ROW_METRICS[name](m.rank(rows)), **TIGHT)


def test_mean_distance_equals_a_loop():
    p, seconds = random_weights(T=6, S=6), torch.arange(6) * 0.02
    expected = torch.zeros(3, 2, 6, dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            expected[..., i] += p[..., i, j] * abs(i - j) * 0.02
    assert_close(m.mean_distance(p, queries=seconds, keys=seconds), expected, rtol=1e-6, atol=0)


def test_jsd_equals_scipy_and_is_zero_between_equal_rows():
    p, q = random_weights(H=2).double().unbind(1)
    expected = jensenshannon(p.numpy(), q.numpy(), axis=-1)
    np.testing.assert_allclose(m.jsd(p, q).numpy(), expected, rtol=1e-9)
    assert (m.jsd(p, p) == 0).all()
    far = m.jsd(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert far.item() == pytest.approx(math.sqrt(math.log(2)))


def test_jsd_between_heads_is_the_mean_over_rows():
    visible = padding([9, 5, 0], 9)[:, None, None]
    weights = random_weights(H=3, mask=visible)
    between = m.head_jsd(weights, visible)
    expected = m.jsd(weights[:2, 0], weights[:2, 2]).mean()
    assert_close(between[0, 2], expected, **TIGHT)
    assert_close(between, between.T, **TIGHT)
    assert (between.diagonal() == 0).all()


def test_column_importance_equals_the_released_form():
    T = 8
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    weights = random_weights(T=T, S=T, mask=causal).double()
    ratios = torch.arange(T, 0, -1)  # as in the release: weights / ratios, summed over queries
    expected = (weights / ratios).sum(dim=-2)
    assert_close(m.column_importance(weights, causal), expected, rtol=1e-6, atol=1e-6)


def test_a_planted_sink_is_one_key_of_those_visible():
    visible = padding([10, 6], 10)[:, None, None] & padding([5, 3], 5)[:, None, :, None]
    weights = random_weights(B=2, T=5, S=10, scale=0.1, mask=visible)
    weights[:, 1] *= 0.4
    weights[:, 1, :, 3] += 0.6
    shares = m.sink_share(weights, visible)
    assert_close(shares, torch.tensor([[0, 1 / 10], [0, 1 / 6]], dtype=torch.float64))
    assert m.column_importance(weights, visible)[1, 1, 6:].isnan().all()


def streamed(weights, query_mask, key_mask, sizes, **options):
    sharpness, first = Sharpness(**options), 0
    for size in sizes:
        some = slice(first, first + size)
        sharpness.update(weights[some], query_mask[some], key_mask[some])
        first += size
    return sharpness


def assert_same_table(ours, expected):
    # a deviation is the root of a difference: atol is the root of the rounding
    assert_frame_equal(pd.DataFrame(ours), pd.DataFrame(expected), rtol=1e-9, atol=1e-6)


CUTS = {"one by one": [1] * 6, "pairs": [2, 2, 2], "uneven": [1, 5]}


@pytest.mark.parametrize("sizes", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
def test_the_cut_into_batches_does_not_matter(sizes, causal, monkeypatch):
    valid = padding([11, 4, 1, 9, 11, 0], 11)
    keys = valid[:, None] & torch.ones(11, 11, dtype=torch.bool).tril() if causal else valid
    mask = keys[:, None] if causal else keys[:, None, None]
    weights = random_weights(B=6, T=11, S=11, mask=mask)
    whole = streamed(weights, valid, keys, [6], self_attention=True)
    parts = streamed(weights, valid, keys, sizes, self_attention=True)
    assert_same_table(parts.rows(), whole.rows())
    monkeypatch.setattr(by_head, "CHUNK", 300)  # one utterance has 242 weights
    assert_same_table(streamed(weights, valid, keys, [6], self_attention=True).rows(), whole.rows())


def test_padding_to_a_longer_batch_does_not_matter():
    valid = padding([7, 4], 7)
    weights = random_weights(B=2, T=7, S=7, mask=valid[:, None, None])
    longer = torch.nn.functional.pad(weights, (0, 3, 0, 2), value=0.5)
    wide = torch.nn.functional.pad(valid, (0, 3))
    assert_same_table(
        streamed(longer, wide[:, :9], wide, [2]).rows(), streamed(weights, valid, valid, [2]).rows()
    )


def test_rows_are_means_and_deviations_over_valid_rows():
    queries, keys = padding([7, 3, 5], 7), padding([9, 1, 6], 9)
    weights = random_weights(mask=keys[:, None, None])
    weights[0, 1, 2] = 0.0  # an empty row
    sharpness = streamed(weights, queries, keys, [3])
    table = {(row["metric"], row["head"]): row for row in sharpness.rows()}
    counts = {"collapsed": (12, 11), "sink_share": (3, 3)}
    for name, f in ROW_METRICS.items():
        values = f(weights, keys[:, None, None]).transpose(1, 2)[queries].T  # (H, rows)
        for head in range(2):
            known = values[head][~values[head].isnan()]
            row = table[name, head]
            expected = (12, 11) if name in NEED_TWO_KEYS else (15, 14)
            assert row["rows"] == len(known) == expected[head]
            assert row["mean"] == pytest.approx(known.mean().item())
            assert row["std"] == pytest.approx(known.std(correction=0).item(), abs=1e-7)
    for name, expected in counts.items():
        assert tuple(table[name, head]["rows"] for head in range(2)) == expected
    normalised = m.normalised_entropy(weights[:, 0], keys[:, None])[queries]
    collapsed = int((normalised > 0.95).sum())
    assert table["collapsed", 0]["mean"] * 12 == pytest.approx(collapsed)


def test_memory_does_not_grow_with_the_batches():
    sharpness = Sharpness(self_attention=True)
    sizes = set()
    for seed in range(20):
        sharpness.update(random_weights(T=9, seed=seed))
        sizes.add(sum(t.untyped_storage().nbytes() for t in sharpness.moments.sums.values()))
    assert len(sizes) == 1
    assert sharpness.rows()[0]["rows"] == 20 * 3 * 9


def test_planted_heads_are_found_among_random_ones():
    keys = padding([40, 25, 33], 40)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 8, 20, 40, generator=generator)
    scores[:, 2] *= 0.01  # all but uniform
    copied = torch.randint(25, (3, 20, 1), generator=generator)
    scores[:, 5].scatter_(-1, copied, 30.0)  # all but one-hot
    weights = scores.masked_fill(~keys[:, None, None], -torch.inf).softmax(dim=-1)
    sharpness = Sharpness()
    sharpness.update(weights, key_mask=keys)
    assert sharpness.collapsed() == [2]
    assert sharpness.one_hot() == [5]
    assert sharpness.collapsed(threshold=0.5) == [0, 1, 2, 3, 4, 6, 7]
    shares = {row["head"]: row["mean"] for row in sharpness.rows() if row["metric"] == "collapsed"}
    assert shares[2] == 1
    assert shares[5] == 0


def test_another_number_of_heads_is_refused():
    sharpness = Sharpness()
    sharpness.update(random_weights(H=2))
    with pytest.raises(ValueError, match="expected 2 as before, given 1"):
        sharpness.update(random_weights(H=1))
