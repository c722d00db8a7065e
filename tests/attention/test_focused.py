"""Focused attention: equal to a loop over queries, and to SDPA where its span is full."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from focused_attention import attention
from focused_attention.attention import FocusedAttention
from focused_attention.attention.focus import SCHEDULES
from focused_attention.attention.softmax.focused import Config
from tests.reference import focused
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"max_span": 3, "ramp": 2},
    "wide": {"max_span": None, "base": 100.0, "schedule": "learned_span"},
}

INVARIANCE = {"rtol": 0, "atol": 1e-5}


def layer(seed=0, dims=16, heads=2, causal=False, **config):
    torch.manual_seed(seed)
    module = FocusedAttention(Config(**config), dims, heads, causal=causal)
    with torch.no_grad():
        for parameter in module.focus.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def padding(lengths, T):
    return torch.arange(T) < torch.tensor(lengths)[:, None]


def reference(module, x, xa=None, mask=None):
    q, k, v = module.project(x, xa)
    causal = module.is_causal and xa is None
    out, *spans = focused.attend(q, k, v, mask, module.focus, causal=causal, cross=xa is not None)
    return module.out(out.transpose(1, 2).flatten(2)), *spans


@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_equals_the_loop(schedule, causal):
    config = {"max_span": 5, "ramp": 3, "schedule": schedule, "temp_scale": 0.5, "train_length": 9}
    module = layer(causal=causal, **config)
    x = torch.randn(2, 53, 16, requires_grad=True)  # longer than three blocks of 16: windowed
    out, spans, temperatures = reference(module, x)
    assert_same(module(x).out, out, {"x": x, **dict(module.named_parameters())})
    ours = module.spans(x)
    torch.testing.assert_close(ours.span.expand_as(spans), spans, **TOLERANCE)
    torch.testing.assert_close(ours.temperature.expand_as(spans), temperatures, **TOLERANCE)


@pytest.mark.parametrize("causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize(
    "config",
    [
        {"max_span": 5, "ramp": 3, "base": 10000.0, "sharpen_longer": True, "temp_scale": 1.0},
        {"max_span": 4, "ramp": 1, "per_head": False, "schedule": "learned_span"},
        {"max_span": None, "ramp": 4, "schedule": "log_length"},
    ],
    ids=str,
)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
def test_masks_and_options_equal_the_loop(config, masked, causal):
    module = layer(causal=causal, **config)
    B, T = 2, 51
    x = torch.randn(B, T, 16, requires_grad=True)
    mask = {
        "none": None,
        "keys": padding((T, 20), T),
        "pairs": (torch.rand(B, T, T) < 0.7) & padding((T, 20), T)[:, None],
    }[masked]
    out, *_ = reference(module, x, mask=mask)
    leaves = {"x": x, **dict(module.named_parameters())}
    assert_same(module(x, mask=mask).out, out, leaves)
    asked = module(x, mask=mask, need_weights=True)
    assert_same(asked.out, out, leaves)


@pytest.mark.parametrize("max_span", [4, None])
def test_cross_attention_equals_the_loop(max_span):
    module = layer(max_span=max_span, ramp=3, schedule="learned_span")
    x = torch.randn(2, 6, 16, requires_grad=True)
    xa = torch.randn(2, 19, 16, requires_grad=True)
    mask = padding((19, 11), 19)
    out, *_ = reference(module, x, xa, mask)
    leaves = {"x": x, "xa": xa, **dict(module.named_parameters())}
    assert_same(module(x, xa, mask).out, out, leaves)


@pytest.mark.parametrize("use", ["self", "causal", "cross"])
@pytest.mark.parametrize("max_span", [200, None])
def test_full_span_and_temperature_one_is_plain_attention(use, max_span):
    module = layer(causal=use == "causal", max_span=max_span, schedule="off")
    plain = attention.build("whisper", dims=16, heads=2, causal=use == "causal")
    plain.load_state_dict(module.state_dict(), strict=False)
    with torch.no_grad():
        module.focus.predictor.bias.fill_(40.0)  # sigmoid = 1
    x = torch.randn(2, 60, 16, requires_grad=True)
    xa = torch.randn(2, 70, 16) if use == "cross" else None
    mask = padding((70, 40), 70) if use == "cross" else padding((60, 33), 60)
    shown = (slice(None),) if use == "cross" else mask  # a query in the padding has no meaning
    assert_same(module(x, xa, mask).out[shown], plain(x, xa, mask).out[shown], {"x": x})


def test_full_span_inside_the_windows_is_sdpa():
    """The windowed path itself: T = 60 is longer than its three blocks of 16."""
    module = layer(max_span=8, ramp=1, schedule="off")
    with torch.no_grad():
        module.focus.predictor.bias.fill_(40.0)
    x = torch.randn(2, 60, 16, requires_grad=True)
    q, k, v = module.project(x, None)
    near = (torch.arange(60)[:, None] - torch.arange(60)).abs() <= 8
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=near)
    assert_same(module(x).out, module.out(out.transpose(1, 2).flatten(2)), {"x": x})


@pytest.mark.parametrize("schedule", ["off", "published", "learned", "learned_span"])
@pytest.mark.parametrize("causal", [False, True])
def test_the_predictor_and_the_temperature_are_trained(schedule, causal):
    module = layer(causal=causal, schedule=schedule, max_span=6, ramp=4)
    module(torch.randn(2, 80, 16)).out.square().mean().backward()
    assert module.focus.predictor.weight.grad.norm() > 0
    for name in ("level", "slope"):
        if hasattr(module.focus, name):
            assert getattr(module.focus, name).grad.norm() > 0


def test_a_longer_span_sharpens_or_softens_as_the_schedule_says():
    x = torch.randn(2, 40, 16)
    for sharpen_longer, sign in ((True, -1), (False, 1)):
        module = layer(sharpen_longer=sharpen_longer, temp_scale=0.5)
        temperatures = []
        for bias in (-3.0, 3.0):
            with torch.no_grad():
                module.focus.predictor.bias.fill_(bias)
            temperatures.append(module.spans(x).temperature.mean())
        assert sign * (temperatures[1] - temperatures[0]) > 0.1


def test_spans_are_frames_within_the_limit_for_every_head():
    module = layer(heads=4, max_span=12)
    span, temperature = module.spans(torch.randn(3, 40, 16))
    assert span.shape == temperature.shape == (3, 4, 1)
    assert (span > 0).all()
    assert (span < 12).all()
    assert len(span[0].flatten().unique()) == 4
    assert layer(causal=True).spans(torch.randn(3, 40, 16)).span.shape == (3, 2, 40)


@settings(max_examples=40, deadline=None)
@given(
    T=st.integers(1, 700),
    B=st.integers(1, 5),
    max_span=st.one_of(st.none(), st.integers(1, 60)),
    ramp=st.integers(1, 20),
    causal=st.booleans(),
    schedule=st.sampled_from(SCHEDULES),
    data=st.data(),
)
def test_any_length_batch_span_and_mask(T, B, max_span, ramp, causal, schedule, data):
    lengths = [T] + [data.draw(st.integers(0, T)) for _ in range(B - 1)]
    module = layer(dims=8, causal=causal, max_span=max_span, ramp=ramp, schedule=schedule)
    mask = padding(lengths, T)
    x = torch.where(mask[..., None], torch.randn(B, T, 8), 50 * torch.randn(B, T, 8))
    x.requires_grad_()
    out = module(x, mask=mask).out
    out.square().mean().backward()
    assert out.isfinite().all()
    assert x.grad.isfinite().all()
    with torch.no_grad():
        i = data.draw(st.integers(0, B - 1))
        n = lengths[i]
        if n:
            alone = module(x[i : i + 1, :n]).out
            torch.testing.assert_close(out[i : i + 1, :n], alone, **INVARIANCE)
        if causal:
            t = data.draw(st.integers(1, T))
            changed = x.clone()
            changed[:, t:] += 3
            torch.testing.assert_close(
                module(changed, mask=mask).out[:, :t], out[:, :t], **INVARIANCE
            )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_span": 0}, r"max_span: expected a positive number, given 0"),
        ({"max_span": -3}, r"max_span: expected a positive number, given -3"),
        ({"ramp": 0}, r"ramp: expected a positive number, given 0"),
        ({"schedule": "sharp"}, r"schedule: expected one of off, .*, given 'sharp'"),
        ({"temp_scale": -1.0}, r"temp_scale: expected zero or more, given -1.0"),
        ({"base": -1.0}, r"base: expected a positive number, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        FocusedAttention(Config(**config), 16, 2)


def test_heads_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="heads: expected a divisor of the width 16, given 3"):
        FocusedAttention(Config(), 16, 3)


x = torch.zeros(2, 7, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": x[..., :8]}, r"x: expected shape \(B, T, 16\), given \(2, 7, 8\)"),
        ({"x": x[0]}, r"x: expected shape \(B, T, 16\), given \(7, 16\)"),
        ({"x": x[:, :0]}, r"x: expected at least one position, given \(2, 0, 16\)"),
        ({"x": x.to("meta")}, r"x: expected device cpu, given meta"),
        ({"x": x, "xa": x[:, :0]}, r"xa: expected at least one position, given \(2, 0, 16\)"),
        ({"x": x, "xa": x[:1]}, r"xa: expected a batch of 2, given 1"),
        ({"x": x, "xa": x.to("meta")}, r"xa: expected device cpu, given meta"),
        ({"x": x, "mask": torch.ones(2, 7)}, r"mask: expected dtype torch.bool .*torch.float32"),
        (
            {"x": x, "mask": torch.ones(2, 6, dtype=torch.bool)},
            r"mask: expected shape \(2, 7\) or \(2, 7, 7\), given \(2, 6\)",
        ),
        (
            {"x": x, "mask": torch.ones(3, 7, dtype=torch.bool)},
            r"mask: expected shape \(2, 7\) or \(2, 7, 7\), given \(3, 7\)",
        ),
        (
            {"x": x, "mask": torch.ones(2, 7, dtype=torch.bool, device="meta")},
            r"mask: expected device cpu, given meta",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        layer()(**arguments)
