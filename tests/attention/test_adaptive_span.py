"""Learned spans: against a loop over queries and the released mask, and what moves them."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"max_span": 3, "ramp": 2, "start": 1},
    "in blocks": {"max_span": 8, "ramp": 5, "start": 0.5, "base": 100.0},
}
USES = ["self", "causal", "cross"]
LONG = 53  # of three blocks of 16 and more: in blocks


def layer(use="self", shares=(0.31, 0.77), **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    settings = {"max_span": 6, "ramp": 3} | settings
    module = attention.build("adaptive_span", dims=16, heads=2, **place, **settings)
    with torch.no_grad():
        module.share.copy_(torch.tensor(shares))
    return module


def padding(lengths, S):
    return torch.arange(S) < torch.tensor(lengths)[:, None]


def by_loop(module, x, xa, mask):
    """One query of one head at a time, from the projections on."""
    source = x if xa is None else xa
    (B, T, D), S, H, config = x.shape, source.shape[1], module.heads, module.config
    q = module.query(x).view(B, T, H, -1)
    k, v = (part(source).view(B, S, H, -1) for part in (module.key, module.value))
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [
                j for j in range(S)
                if (mask is None or (mask[b, j] if mask.ndim == 2 else mask[b, i, j]))
                and not (module.is_causal and j > i)
            ]  # fmt: skip
            for h in range(H):
                scores = k[b, seen, h] @ q[b, i, h] / math.sqrt(D // H)
                plain = scores.softmax(dim=0)
                at = torch.tensor(seen, dtype=x.dtype)
                away = (at - (i if xa is None else plain @ at)).abs()
                z = module.share[h] * config.max_span
                masked = plain * ((config.ramp + z - away) / config.ramp).clamp(0, 1)
                total = masked.sum()
                row = masked / total if total > 0 else 0 * masked
                rows.append(row @ v[b, seen, h])
    return module.out(torch.stack(rows).view(B, T, D))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("length", [11, LONG])
def test_equals_the_loop_forward_and_backward(length, masked, use):
    module = layer(use)
    S, T = length, 3 if use == "cross" else length
    x = torch.randn(2, T, 16, requires_grad=True)
    xa = torch.randn(2, S, 16, requires_grad=True) if use == "cross" else None
    mask = {
        "none": None,
        "keys": padding((S, S // 3), S),
        "pairs": (torch.rand(2, T, S) < 0.7) & padding((S, S // 3), S)[:, None],
    }[masked]
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    expected = by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_released_mask_is_ours_one_key_nearer_and_cut_at_the_longest_span(share):
    """Its template counts the distances z_max - 1 to 0, the last of the key before the query's."""
    longest, ramp, T = 12, 4, 30
    module = layer("causal", (share, share), max_span=longest, ramp=ramp)
    with torch.no_grad():
        module.query.weight.zero_()
        module.query.bias.zero_()  # all keys alike: what is left is the mask
    row = module(torch.randn(1, T, 16), need_weights=True).weights[0, 0, -1]
    template = torch.linspace(1 - longest, 0, longest)
    released = ((template + share * longest) / ramp + 1).clamp(0, 1)
    released = released / T / ((released / T).sum() + 1e-8)  # after the softmax
    ours = row[-longest:] / row[-longest:].sum()
    assert_close(ours, released, **TOLERANCE)
    beyond = row[:-longest].count_nonzero()
    assert beyond == (ramp if share == 1 else 0)


@pytest.mark.parametrize("use", USES)
def test_a_row_sums_to_one_even_where_its_mass_is_far_away(use):
    """Where the released form loses the row: 1e-8 in its denominator outweighs what is inside."""
    module = layer(use, (0.0, 0.0), max_span=6, ramp=1)
    x = torch.randn(1, LONG, 16)
    xa = x if use == "cross" else None
    with torch.no_grad():
        module.query.weight.mul_(300)
    weights = module(x, xa, need_weights=True).weights
    sums = weights.sum(dim=-1)
    assert_close(sums, (sums > 0.5).float(), **TOLERANCE)
    if use != "cross":
        assert_close(sums, torch.ones_like(sums), **TOLERANCE)
        plain = attention.build("whisper", dims=16, heads=2, causal=use == "causal")
        own = {n: w for n, w in module.state_dict().items() if n != "share"}
        plain.load_state_dict(own)
        inside = plain(x, need_weights=True).weights.diagonal(dim1=-2, dim2=-1)
        assert (inside / (inside + 1e-8)).min() < 0.5


def test_only_as_many_blocks_are_made_as_the_longest_learned_span_asks_for(monkeypatch):
    sizes = []
    whole = type(layer()).windowed

    def windowed(self, *args):
        sizes.append(args[-2])
        return whole(self, *args)

    monkeypatch.setattr(type(layer()), "windowed", windowed)
    x = torch.randn(1, 200, 16)
    for share in (0.0, 0.2, 0.4, 1.0):
        module = layer(shares=(share, 0.0), max_span=100)
        assert_close(module(x).out, module(x, need_weights=True).out, **TOLERANCE)
    assert sizes == [16, 24, 48]  # and at the longest none


@pytest.mark.parametrize("use", ["self", "causal"])
@pytest.mark.parametrize("away", [3, 14])
def test_a_span_grows_to_what_is_far_and_shrinks_by_its_price(away, use):
    """From 8 and a ramp of 8: one key, that far from the last query, holds what must be found."""
    module = layer(use, (0.2, 0.2), max_span=40, ramp=8, price=1e-3).train()
    x = torch.zeros(1, LONG, 16)
    x[:, -1 - away] = 3.0
    with torch.no_grad():
        for part in (module.query, module.key, module.value, module.out):
            part.weight.copy_(torch.eye(16))
        module.query.bias.fill_(0.3)
        module.value.bias.zero_()
        module.out.bias.zero_()
    for _ in range(50):
        output = module(x)
        wrong = output.out[:, -1] - x[:, -1 - away]
        loss = wrong.square().mean() + output.losses["span"]
        (gradient,) = torch.autograd.grad(loss, module.share)
        with torch.no_grad():
            module.share.sub_(0.01 * gradient.sign())
    if away == 14:
        assert (module.span > 10).all()
    else:
        assert (module.span < 4).all()


def test_a_share_comes_back_from_outside():
    """Clamped in the forward, as after an update: the gradient is not cut at the ends."""
    module = layer(shares=(-0.5, 1.5)).train()
    output = module(torch.randn(1, 9, 16))
    assert module.share.tolist() == [0.0, 1.0]
    output.out.square().mean().backward()
    assert (module.share.grad != 0).all()


def test_the_loss_is_the_price_of_the_mean_span_in_training_alone():
    module = layer(price=0.5).train()
    x = torch.randn(1, 9, 16)
    loss = module(x).losses["span"]
    assert loss.item() == pytest.approx(0.5 * 6 * (0.31 + 0.77) / 2)
    (gradient,) = torch.autograd.grad(loss, module.share)
    assert_close(gradient, torch.full((2,), 0.5 * 6 / 2))
    assert module.eval()(x).losses == {}


def test_spans_are_told_of_every_item():
    spans = layer().spans(torch.randn(3, 9, 16))
    assert_close(spans.span, torch.tensor([[[1.86], [4.62]]]).expand(3, -1, -1))
    assert spans.temperature.unique().tolist() == [1.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_span": 0}, r"max_span: expected a positive number, given 0"),
        ({"ramp": 0}, r"ramp: expected a positive number, given 0"),
        ({"start": 1.5}, r"start: expected a share, 0 to 1, given 1.5"),
        ({"price": -1.0}, r"price: expected zero or more, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
