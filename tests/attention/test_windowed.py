"""Windows that move with the query, against a loop over queries and against rotary attention."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.sparse.windowed import POSITIONS, slopes
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"window": 3},
    "alibi": {"window": 5, "positions": "alibi"},
    "alibi wide": {"positions": "alibi"},
    "none": {"window": 20, "positions": "none"},
}

LONG = 53  # of three blocks of 16 and more: in blocks
MASKS = ["none", "keys", "pairs"]


def layer(heads=2, causal=False, seed=0, **settings):
    torch.manual_seed(seed)
    return attention.build("windowed", dims=4 * heads, heads=heads, causal=causal, **settings)


def masks(kind, B, T):
    keys = torch.arange(T) < torch.tensor([T] * (B - 1) + [T // 3])[:, None]
    pairs = (torch.rand(B, T, T) < 0.7) & keys[:, None]
    return {"none": None, "keys": keys, "pairs": pairs}[kind]


def turned(x, base):
    """x (T, K) with the pairs (i, i + K / 2) rotated by their position, as complex numbers."""
    T, K = x.shape
    rates = torch.tensor([base ** (-2 * j / K) for j in range(K // 2)], dtype=torch.float64)
    angles = torch.arange(T)[:, None] * rates
    z = torch.complex(x[:, : K // 2].double(), x[:, K // 2 :].double())
    z = z * torch.complex(angles.cos(), angles.sin())
    return torch.cat((z.real, z.imag), dim=1)


def by_loop(module, x, mask):
    """One head of one query at a time, from the projections on."""
    (B, T, _), H, config = x.shape, module.heads, module.config
    q, k, v = (part(x).unflatten(-1, (H, -1)) for part in (module.query, module.key, module.value))
    items = []
    for b in range(B):
        heads = []
        for h in range(H):
            queries, keys = q[b, :, h].double(), k[b, :, h].double()
            if config.positions == "rotary":
                queries, keys = turned(queries, config.base), turned(keys, config.base)
            rows = []
            for i in range(T):
                seen = [
                    j for j in range(T)
                    if (config.window is None or abs(i - j) <= config.window)
                    and not (module.is_causal and j > i)
                    and (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
                ]  # fmt: skip
                scores = keys[seen] @ queries[i] / math.sqrt(q.shape[-1])
                if config.positions == "alibi":
                    away = torch.tensor([abs(i - j) for j in seen], dtype=torch.float64)
                    scores = scores - 2 ** (-8 * (h + 1) / H) * away
                rows.append(scores.softmax(dim=0) @ v[b, seen, h].double())
            heads.append(torch.stack(rows))
        items.append(torch.cat(heads, dim=-1))
    return module.out(torch.stack(items).to(x.dtype))


@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize(("window", "T"), [(3, LONG), (11, LONG), (3, 9), (None, 19)])
@pytest.mark.parametrize("positions", POSITIONS)
def test_equals_the_loop(positions, window, T, masked, causal):
    module = layer(causal=causal, positions=positions, window=window, base=50.0)
    x = torch.randn(2, T, 8, requires_grad=True)
    mask = masks(masked, 2, T)
    expected = by_loop(module, x, mask)
    leaves = {"x": x, **dict(module.named_parameters())}
    assert_same(module(x, mask=mask).out, expected, leaves)
    assert_same(module(x, mask=mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 3, 8, 80])
def test_with_rotary_positions_it_is_rotary_attention_with_a_maximum_distance(window, causal):
    rotary = attention.build("rotary", dims=8, heads=2, causal=causal, max_dist=window)
    module = layer(causal=causal, window=window).adopt(rotary)
    x, mask = torch.randn(2, LONG, 8), masks("keys", 2, LONG)
    assert_close(module(x, mask=mask).out, rotary(x, mask=mask).out, **TOLERANCE)
    if window in (None, 80):  # all keys: the same to the bit
        assert torch.equal(module(x, mask=mask).out, rotary(x, mask=mask).out)


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_window_of_all_keys_is_none(positions):
    full, x = layer(positions=positions), torch.randn(2, LONG, 8)
    for window in (LONG - 1, 17):
        module = layer(positions=positions, window=window).adopt(full)
        same = [torch.equal(module(part).out, full(part).out) for part in (x[:, :18], x)]
        assert same == [True, window == LONG - 1]


def test_without_positions_and_window_it_is_plain_attention():
    plain = attention.build("whisper", dims=8, heads=2)
    module = layer(positions="none").adopt(plain)
    x = torch.randn(2, 20, 8)
    assert torch.equal(module(x).out, plain(x).out)
    order = torch.randperm(20)
    assert_close(module(x[:, order]).out, module(x).out[:, order], **TOLERANCE)


def test_slopes_are_those_of_the_paper():
    assert slopes(8) == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    assert slopes(12)[:8] == slopes(8)
    assert slopes(12)[8:] == slopes(16)[::2][:4]
    assert [len(set(slopes(heads))) for heads in range(1, 20)] == list(range(1, 20))


def test_the_last_heads_look_farther():
    module = layer(heads=8, positions="alibi")
    module.query.weight.data.zero_()
    module.query.bias.data.zero_()
    weights = module(torch.randn(1, 31, 32), need_weights=True).weights[0, :, 15]
    assert_close(weights, weights.flip(1))  # ahead as back
    reach = (weights * (torch.arange(31) - 15).abs()).sum(dim=1)
    assert reach.diff().gt(0).all()


@pytest.mark.parametrize("window", [3, None])
@pytest.mark.parametrize("T", [9, LONG])
def test_a_temperature_divides_all_of_the_scores(window, T):
    module, x = layer(positions="alibi", window=window), torch.randn(1, T, 8)
    one = module(x, need_weights=True).weights
    module.temperature = torch.tensor([0.5, 2.0])
    powers = one ** torch.tensor([2.0, 0.5])[:, None, None]
    expected = powers / powers.sum(dim=-1, keepdim=True)
    assert_close(module(x, need_weights=True).weights, expected, **TOLERANCE)
    v = module.split(module.value(x))
    out = module.out((expected @ v).transpose(1, 2).flatten(2))
    assert_close(module(x).out, out, **TOLERANCE)


def test_what_is_kept_for_the_backward_grows_with_the_length():
    kept = {}
    for T in (600, 2400):
        total = 0

        def count(x):
            nonlocal total
            total += x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            layer(positions="alibi", window=16)(torch.randn(1, T, 8))
        kept[T] = total
    assert kept[2400] < 4.2 * kept[600]


@pytest.mark.parametrize("positions", POSITIONS)
def test_it_has_the_weights_of_plain_attention_alone(positions):
    plain = attention.build("rotary", dims=8, heads=2)
    assert layer(positions=positions).state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, r"window: expected a positive number, given 0"),
        ({"positions": "sinus"}, r"positions: expected one of rotary, alibi, none, given 'sinus'"),
        ({"base": -1.0}, r"base: expected a positive number, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
