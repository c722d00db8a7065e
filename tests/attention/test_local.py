"""Local attention: equal to the `local-attention` package where that is right, to a loop elsewhere.

Where the package (1.11) cannot be the reference, and the loop is:
- a length that the window does not divide, without `autopad`: it raises;
- `autopad` without a mask, not causal: the zeros it appends are attended to;
- a query that sees no key: it averages over everything, what lies outside included;
- xPos with window_size=1, or with a window far wider than its scale: its output is not finite.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from local_attention import LocalAttention as Package

from focused_attention.attention import LocalAttention, build
from tests.reference import local
from tests.reference.compare import TOLERANCE, assert_same

CASES = {"as it comes": {}, "narrow": {"window_size": 4}}  # for test_every_mechanism.py

INVARIANCE = {"rtol": 0, "atol": 1e-5}
K = 8


def inputs(*shape):
    return [torch.randn(*shape, K, requires_grad=True) for _ in range(3)]


def leaves(q, k, v):
    return {"q": q, "k": k, "v": v}


GRID = [
    {"causal": causal, "exact_windowsize": exact, "shared_qk": shared, **looks, **positions}
    for causal, exact, shared, looks, positions in itertools.product(
        (False, True),
        (False, True),
        (False, True),
        ({}, {"look_backward": 2}, {"look_backward": 0}),
        ({}, {"dim": K}, {"dim": K, "use_xpos": True}),
    )
]
GRID += [
    {"look_backward": 1, "look_forward": 2, "exact_windowsize": True, "dim": K},
    {"look_forward": 0},
    {"scale": 0.7, "dim": K},
    {"rel_pos_emb_config": (K, 2), "causal": True},
    {"use_rotary_pos_emb": False, "dim": K},
    {"use_xpos": True, "dim": K, "xpos_scale_base": 7, "causal": True},
]


@pytest.mark.parametrize("options", GRID, ids=str)
def test_equals_the_package(options):
    torch.manual_seed(0)
    q, k, v = inputs(2, 3, 20)
    mask = torch.arange(20) < torch.tensor([[20], [14]])
    mask[:, 0] = True
    ours = LocalAttention(5, **options)
    package = Package(5, **options)
    assert_same(ours(q, k, v), package(q, k, v), leaves(q, k, v))
    # the package averages over everything where nothing is seen: compare the rows that see a key
    seen = torch.arange(20) < 15
    a, b = (module(q, k, v, mask=mask)[..., seen, :] for module in (ours, package))
    if options.get("look_backward") != 0:
        assert_same(a, b, leaves(q, k, v))


@pytest.mark.parametrize("causal", [False, True])
def test_equals_the_package_with_padding_and_bias_and_flat_heads(causal):
    torch.manual_seed(0)
    q, k, v = inputs(4, 23)  # 2 items of 2 heads in one axis
    W = 12 if not causal else 8
    bias = torch.randn(2, 4, W, requires_grad=True)
    mask = torch.arange(23) < torch.tensor([[23], [22]])
    ours = LocalAttention(4, causal=causal, dim=K)
    package = Package(4, causal=causal, dim=K, autopad=True)
    assert_same(
        ours(q, k, v, input_mask=mask, attn_bias=bias),
        package(q, k, v, input_mask=mask, attn_bias=bias),
        {**leaves(q, k, v), "attn_bias": bias},
    )


def test_equals_the_package_with_another_window():
    q, k, v = inputs(1, 2, 24)
    options = {"dim": K, "use_xpos": True, "causal": True}
    ours, package = LocalAttention(4, **options), Package(4, **options)
    assert_same(ours(q, k, v, window_size=8), package(q, k, v, window_size=8), leaves(q, k, v))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True, "exact_windowsize": True},
        {"exact_windowsize": True, "look_backward": 2, "look_forward": 0, "shared_qk": True},
        {"causal": True, "use_xpos": True, "rotary": True},
        {"look_backward": 0, "rotary": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("T", [1, 6, 17])
def test_equals_the_loop_at_any_length(T, options):
    torch.manual_seed(T)
    q, k, v = inputs(2, 2, T)
    mask = torch.arange(T) < torch.tensor([[T], [T // 2]])
    bias = torch.randn(2, 7, 7 * 5)
    settings = {key: value for key, value in options.items() if key != "rotary"}
    module = LocalAttention(7, dim=K if options.get("rotary") else None, **settings)
    bias = bias[..., : 7 * (module.look_backward + 1 + module.look_forward)]
    ours = module(q, k, v, mask=mask, attn_bias=bias)
    reference = local.attend(q, k, v, window_size=7, mask=mask, attn_bias=bias, **options)
    assert_same(ours, reference, leaves(q, k, v))


def test_the_package_attends_to_the_zeros_it_appends_and_we_do_not():
    q, k, v = inputs(1, 1, 10)
    ours, package = LocalAttention(8), Package(8, autopad=True)
    right = local.attend(q, k, v, window_size=8)
    torch.testing.assert_close(ours(q, k, v), right, **TOLERANCE)
    assert (package(q, k, v) - right).abs().max() > 0.01


def test_the_package_raises_at_other_lengths_and_we_do_not():
    q, k, v = inputs(1, 1, 10)
    with pytest.raises(AssertionError, match="must be divisible"):
        Package(8)(q, k, v)
    assert LocalAttention(8)(q, k, v).isfinite().all()


def test_a_query_that_sees_nothing_is_zero():
    q, k, v = inputs(1, 1, 10)
    nothing = torch.zeros(1, 10, dtype=torch.bool)
    out = LocalAttention(4)(q, k, v, mask=nothing)
    assert torch.equal(out, torch.zeros_like(out))
    out.sum().backward()
    assert k.grad.isfinite().all()


@pytest.mark.parametrize(("window", "override"), [(1, None), (2, 600)])
@pytest.mark.parametrize("causal", [False, True])
def test_xpos_is_finite_where_the_package_is_not(window, override, causal):
    q, k, v = inputs(1, 1, 1200)
    options = {"causal": causal, "dim": K, "use_xpos": True}
    assert not Package(window, **options)(q, k, v, window_size=override).isfinite().all()
    out = LocalAttention(window, **options)(q, k, v, window_size=override)
    out.sum().backward()
    assert out.isfinite().all()
    assert all(x.grad.isfinite().all() for x in (q, k, v))


def test_dropout_drops_in_training_alone():
    q, k, v = inputs(1, 1, 64)
    module = LocalAttention(8, dropout=0.5)
    torch.manual_seed(0)
    assert not torch.allclose(module(q, k, v), module.eval()(q, k, v))
    assert torch.equal(module(q, k, v), LocalAttention(8)(q, k, v))


@pytest.mark.parametrize("options", [{}, {"use_xpos": True}, {"shared_qk": True}], ids=str)
def test_decoding_over_many_windows_with_a_cache(options):
    from focused_attention.attention import KeyValueCache

    torch.manual_seed(0)
    layer = build("local", dims=16, heads=2, causal=True, window_size=4, **options)
    x = torch.randn(2, 30, 16)
    state = KeyValueCache()
    steps = [layer(part, state=state).out for part in x.split((3, 1, 1, 9, 1, 15), dim=1)]
    torch.testing.assert_close(torch.cat(steps, dim=1), layer(x).out, **INVARIANCE)


def test_pairs_are_masked_and_weights_are_those_used():
    torch.manual_seed(0)
    layer = build("local", dims=16, heads=2, window_size=4)
    x, pairs = torch.randn(2, 27, 16), torch.rand(2, 27, 27) < 0.6
    asked = layer(x, mask=pairs, need_weights=True)
    torch.testing.assert_close(asked.out, layer(x, mask=pairs).out, **INVARIANCE)
    assert (asked.weights.masked_select(~pairs[:, None]) == 0).all()
    values = layer.split(layer.value(x))
    by_hand = layer.out((asked.weights @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(by_hand, asked.out, **INVARIANCE)


@settings(max_examples=40, deadline=None)
@given(
    T=st.integers(1, 700),
    B=st.integers(1, 5),
    window=st.integers(1, 130),
    causal=st.booleans(),
    exact=st.booleans(),
    back=st.integers(0, 3),
    xpos=st.booleans(),
    data=st.data(),
)
def test_any_length_batch_window_and_mask(T, B, window, causal, exact, back, xpos, data):
    torch.manual_seed(0)
    layer = build(
        "local",
        dims=8,
        heads=2,
        causal=causal,
        window_size=window,
        look_backward=back,
        exact_windowsize=exact,
        use_xpos=xpos,
    )
    lengths = [T] + [data.draw(st.integers(0, T)) for _ in range(B - 1)]
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    x = torch.where(mask[..., None], torch.randn(B, T, 8), 50 * torch.randn(B, T, 8))
    with torch.no_grad():
        out = layer(x, mask=mask).out
        assert out.isfinite().all()
        i = data.draw(st.integers(0, B - 1))
        if n := lengths[i]:
            alone = layer(x[i : i + 1, :n]).out
            torch.testing.assert_close(out[i : i + 1, :n], alone, **INVARIANCE)
        if causal:
            t = data.draw(st.integers(1, T))
            changed = torch.cat((x[:, :t], x[:, t:] + 3), dim=1)
            after = layer(changed, mask=mask).out
            torch.testing.assert_close(after[:, :t], out[:, :t], **INVARIANCE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_size": 0}, "window_size: expected a positive number, given 0"),
        ({"window_size": -4}, "window_size: expected a positive number, given -4"),
        ({"look_backward": -1}, "look_backward: expected zero or more, given -1"),
        ({"causal": True, "look_forward": 1}, "look_forward: expected 0 when causal, given 1"),
        ({"dropout": 1.5}, r"dropout: expected a number in \[0, 1\), given 1.5"),
        ({"dim": 7}, "dim: expected an even width to rotate pairs, given 7"),
        ({"use_xpos": True}, "use_xpos: expected use_rotary_pos_emb and dim beside it"),
        ({"xpos_scale_base": 0, "dim": 8}, "xpos_scale_base: expected a positive number, given 0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        LocalAttention(**{"window_size": 4, **options})


x = torch.zeros(2, 2, 9, K)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": x[..., :4]}, r"k: expected the shape of q \(2, 2, 9, 8\), given \(2, 2, 9, 4\)"),
        ({"v": x[:, :, :8]}, r"v: expected shape \(2, 2, 9, -1\), given \(2, 2, 8, 8\)"),
        ({"k": x.to("meta")}, "k: expected device cpu, given meta"),
        ({"mask": torch.ones(2, 9)}, "mask: expected dtype torch.bool"),
        ({"mask": torch.ones(2, 8, dtype=torch.bool)}, r"mask: expected shape \(2, 9\)"),
        ({"mask": torch.ones(3, 9, dtype=torch.bool)}, "mask: expected a batch that divides 4"),
        ({"attn_bias": torch.ones(2, 4, 4)}, r"attn_bias: expected shape \(H, 4, 12\)"),
        ({"window_size": 8}, "window_size: expected None without use_xpos, given 8"),
        ({"window_size": -8}, "window_size: expected a positive number, given -8"),
        (
            {name: x[:, :, :0] for name in "qkv"},
            r"q: expected shape \(..., T, K\) with T >= 1, given \(2, 2, 0, 8\)",
        ),
        ({name: x[..., :4] for name in "qkv"}, "q: expected head width dim = 8, given 4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocalAttention(4, dim=K)(**{"q": x, "k": x, "v": x, **arguments})
