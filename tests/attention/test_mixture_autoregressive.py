"""Mixture of autoregressive attention: routing equal to `colt5-attention`, all of it to a loop."""

import pytest
import torch
from colt5_attention.coor_descent import coor_descent
from colt5_attention.transformer_block import CoordinateDescentRouter
from hypothesis import given, settings
from hypothesis import strategies as st

from focused_attention.attention import MixtureOfAutoregressiveAttention, build
from focused_attention.attention.modules.experts import Router
from focused_attention.attention.routing import coordinate_descent
from tests.reference import mixture
from tests.reference.compare import assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {
        "num_routed_queries": 2,
        "num_routed_key_values": 3,
        "local_attn_window_size": 4,
        "routed_window_size": 5,
    },
}
INVARIANCE = {"rtol": 0, "atol": 1e-5}


@pytest.mark.parametrize("k", [1, 4.5, 18])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "schedule",
    [
        {"n_iters": 20, "eps": 0.03, "eps_init": 4.0, "eps_decay": 0.7},
        {"n_iters": 50, "eps": 0.1, "eps_init": None, "eps_decay": 1.0},
        {"n_iters": 1, "eps": 1.0, "eps_init": None, "eps_decay": 1.0},
    ],
    ids=str,
)
def test_coordinate_descent_equals_colt5(schedule, masked, k):
    torch.manual_seed(0)
    s = torch.randn(5, 31, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(5, 31) < 0.7 if masked else None
    ours = coordinate_descent(s, k, mask=mask, **schedule)
    assert_same(ours, coor_descent(s, k=k, mask=mask, **schedule), {"s": s})
    single = s.detach().float().requires_grad_()
    ours = coordinate_descent(single, k, mask=mask, **schedule)
    assert_same(ours, coor_descent(single, k=k, mask=mask, **schedule), {"s": single})


@pytest.mark.parametrize("masked", [False, True])
def test_routing_equals_colt5(masked):
    torch.manual_seed(0)
    E, T, D, n = 3, 40, 16, 6
    router = Router(D, E, n_iters=20, eps=0.03, eps_init=4.0, eps_decay=0.7)
    peer = CoordinateDescentRouter(D, num_routing_tokens=E)
    peer.routing_token = router.routing_token
    x = torch.randn(2, T, D, requires_grad=True)
    mask = torch.rand(2, T) < 0.8 if masked else None
    theirs = peer(x, num_tokens=n, mask=mask, keep_one_route_dim=True)
    scores = router.routing_token @ x.mT
    given_mask = torch.ones(2, 1, T, dtype=torch.bool) if mask is None else mask[:, None]
    indices, gates, _ = router(scores, n, given_mask)
    # scores saturate at 1, so the peer breaks ties arbitrarily: compare the selected soft scores
    soft = coordinate_descent(scores, n * 9 / 8, mask=given_mask)
    ours, peers = (soft.gather(-1, i).sort(dim=-1).values for i in (indices, theirs.indices))
    torch.testing.assert_close(ours, peers)
    torch.testing.assert_close(gates, theirs.scores)


def mixtures(**options):
    torch.manual_seed(0)
    return MixtureOfAutoregressiveAttention(
        **{
            "dim": 16,
            "num_routed_queries": 3,
            "num_routed_key_values": 4,
            "local_attn_window_size": 6,
            "dim_head": 8,
            "heads": 2,
            **options,
        }
    )


@pytest.mark.parametrize(
    ("T", "options"),
    [
        (29, {}),
        (30, {"num_experts": 1, "average_routed": True}),
        (31, {"num_experts": 3, "routed_window_size": 9, "prenorm": False, "flash_attn": False}),
        (20, {"num_routed_queries": 6, "num_routed_key_values": 50}),
        (6, {}),
        (7, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("rotary", [False, True])
def test_equals_the_loop(T, options, rotary):
    module = mixtures(**options)
    x = torch.randn(2, T, 16, requires_grad=True)
    mask = torch.arange(T) < torch.tensor([[T], [T - 4]])
    angles = torch.randn(T, 8) if rotary else None
    n_queries, n_keys = module.num_routed_queries, module.num_routed_key_values
    ours = module(x, angles, mask=mask)
    reference = mixture.attend(module, x, mask, n_queries, n_keys, angles)
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    assert_same(ours[mask], reference[mask], {"x": x, **parameters})


def test_the_counts_can_be_given_for_one_call():
    module = mixtures()
    x = torch.randn(1, 29, 16)
    mask = torch.ones(1, 29, dtype=torch.bool)
    ours = module(x, num_routed_queries=2, num_routed_key_values=7)
    torch.testing.assert_close(ours, mixture.attend(module, x, mask, 2, 7), **INVARIANCE)


def test_keys_are_never_in_the_future_and_routing_looks_ahead_within_its_window_alone():
    x = torch.randn(1, 40, 16)
    t = 20  # in the window 18..23
    changed = torch.cat((x[:, :t], x[:, t:] + 3), dim=1)
    every = mixtures(num_routed_queries=6)
    torch.testing.assert_close(every(changed)[:, :t], every(x)[:, :t], **INVARIANCE)
    some = mixtures(num_routed_queries=2)
    tokens = some.query_router.routing_token.detach().sum(dim=0)
    changed = torch.cat((x[:, :t], x[:, t:] + 3 * tokens), dim=1)  # now they win the routing
    moved = (some(changed) - some(x)).abs().amax(dim=(0, 2))
    assert moved[:18].max() < 1e-5
    assert moved[18:t].max() > 1e-3


@settings(max_examples=25, deadline=None)
@given(
    T=st.integers(1, 700),
    B=st.integers(1, 5),
    window=st.integers(1, 130),
    queries=st.integers(1, 40),
    keys=st.integers(1, 40),
    experts=st.integers(1, 3),
    data=st.data(),
)
def test_any_length_batch_window_and_mask(T, B, window, queries, keys, experts, data):
    torch.manual_seed(0)
    if T / window > 100:  # n windows route among all that precedes them: T² / window scores
        window = T // 100 + 1
    layer = build(
        "mixture_autoregressive",
        dims=8,
        heads=2,
        num_routed_queries=queries,
        num_routed_key_values=keys,
        local_attn_window_size=window,
        num_experts=experts,
    )
    lengths = [T] + [data.draw(st.integers(0, T)) for _ in range(B - 1)]
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    x = torch.where(mask[..., None], torch.randn(B, T, 8), 50 * torch.randn(B, T, 8))
    x.requires_grad_()
    out = layer(x, mask=mask).out
    out.square().mean().backward()
    assert out.isfinite().all()
    assert x.grad.isfinite().all()
    i = data.draw(st.integers(0, B - 1))
    if lengths[i]:
        with torch.no_grad():
            other = torch.where(mask[..., None], x, 7.0)
            other = torch.cat((other[i : i + 1], 3 * other[:1]))
            alone = layer(other, mask=torch.cat((mask[i : i + 1], mask[:1]))).out[:1]
        n = lengths[i]
        torch.testing.assert_close(out[i : i + 1, :n], alone[:, :n], **INVARIANCE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_triton_without_cuda_is_an_error():
    with pytest.raises(ValueError, match="use_triton: expected a CUDA device"):
        mixtures(use_triton=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_routed_queries": 0}, "num_routed_queries: expected a positive number, given 0"),
        ({"local_attn_window_size": -1}, "local_attn_window_size: expected a positive .* -1"),
        ({"routed_window_size": 0}, "routed_window_size: expected a positive number, given 0"),
        ({"num_experts": 0}, "num_experts: expected a positive number, given 0"),
        ({"fetch_k_ratio": 0.5}, "fetch_k_ratio: expected at least 1, given 0.5"),
        ({"dropout": -0.1}, r"dropout: expected a number in \[0, 1\), given -0.1"),
        ({"dim_head": 7}, "dim: expected an even width to rotate pairs, given 7"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        mixtures(**options)


x = torch.zeros(2, 9, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": x[..., :8]}, r"x: expected shape \(B, T, 16\), given \(2, 9, 8\)"),
        ({"x": x[:, :0]}, "x: expected at least one position"),
        ({"x": x.to("meta")}, "x: expected device cpu, given meta"),
        ({"mask": torch.ones(2, 9)}, "mask: expected dtype torch.bool"),
        ({"mask": torch.ones(2, 9, 9, dtype=torch.bool)}, r"mask: expected keys of shape \(2, 9\)"),
        ({"rotary_emb": torch.ones(9, 16)}, r"rotary_emb: expected shape \(9, 8\)"),
        ({"num_routed_queries": -1}, "num_routed_queries: expected a positive number, given -1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mixtures()(**{"x": x, **arguments})
