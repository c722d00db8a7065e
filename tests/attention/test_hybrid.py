"""Hybrid attention: both branches equal their references, joined by one projection."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from focused_attention.attention import HybridFocusedAttention, build
from focused_attention.attention.sparse.hybrid import Config
from focused_attention.attention.view import attention_mask
from tests.reference import focused
from tests.reference.compare import assert_same

CASES = {"as it comes": {}, "narrow": {"max_span": 3, "ramp": 2}}  # for test_every_mechanism.py

INVARIANCE = {"rtol": 0, "atol": 1e-5}


def layer(causal=False, dims=16, heads=2, **config):
    torch.manual_seed(0)
    return HybridFocusedAttention(Config(**config), dims, heads, causal=causal)


def reference(module, x, xa, mask):
    q, k, v = module.project(x, xa)
    causal = module.is_causal and xa is None
    near, *_ = focused.attend(q, k, v, mask, module.focus, causal=causal, cross=xa is not None)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    merged = attention_mask(mask, causal=causal, T=q.shape[2], S=k.shape[2], device=x.device)
    if merged is not None:
        scores = scores.masked_fill(~merged, -torch.inf)
    far = scores.softmax(dim=-1) @ v
    joined = torch.cat([part.transpose(1, 2).flatten(2) for part in (near, far)], dim=-1)
    return joined @ module.out.weight.T + module.out.bias


@pytest.mark.parametrize("use", ["self", "causal", "cross"])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_two_branches(use, masked):
    module = layer(causal=use == "causal", max_span=6, ramp=3, schedule="learned_span")
    x = torch.randn(2, 51, 16, requires_grad=True)
    xa = torch.randn(2, 23, 16, requires_grad=True) if use == "cross" else None
    S = 51 if xa is None else 23
    mask = torch.arange(S) < torch.tensor([[S], [15]]) if masked else None
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    assert_same(module(x, xa, mask).out, reference(module, x, xa, mask), leaves)


def test_the_weights_are_the_global_branchs():
    module = layer(max_span=6)
    x = torch.randn(2, 60, 16)
    plain = build("rotary", dims=16, heads=2)
    shared = {n: w for n, w in module.state_dict().items() if n.startswith(("query", "key"))}
    plain.load_state_dict(shared, strict=False)
    ours, global_ = module(x, need_weights=True), plain(x, need_weights=True)
    torch.testing.assert_close(ours.weights, global_.weights)
    torch.testing.assert_close(ours.out, module(x).out, **INVARIANCE)


def test_the_predictor_is_trained():
    module = layer(max_span=6)
    module(torch.randn(2, 60, 16)).out.square().mean().backward()
    assert all(parameter.grad.norm() > 0 for parameter in module.parameters())


@settings(max_examples=20, deadline=None)
@given(
    T=st.integers(1, 700),
    B=st.integers(1, 5),
    max_span=st.integers(1, 60),
    causal=st.booleans(),
    data=st.data(),
)
def test_any_length_batch_span_and_mask(T, B, max_span, causal, data):
    lengths = [T] + [data.draw(st.integers(0, T)) for _ in range(B - 1)]
    module = layer(causal, dims=8, max_span=max_span)
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    x = torch.where(mask[..., None], torch.randn(B, T, 8), 50 * torch.randn(B, T, 8))
    with torch.no_grad():
        out = module(x, mask=mask).out
        assert out.isfinite().all()
        i = data.draw(st.integers(0, B - 1))
        if n := lengths[i]:
            alone = module(x[i : i + 1, :n]).out
            torch.testing.assert_close(out[i : i + 1, :n], alone, **INVARIANCE)
        if causal:
            t = data.draw(st.integers(1, T))
            changed = torch.cat((x[:, :t], x[:, t:] + 3), dim=1)
            after = module(changed, mask=mask).out
            torch.testing.assert_close(after[:, :t], out[:, :t], **INVARIANCE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layer(heads=3), "heads: expected a divisor of the width 16, given 3"),
        (lambda: layer(heads=16), "heads: expected an even head width .* given 16 / 16 = 1"),
        (lambda: layer(max_span=-1), "max_span: expected a positive number, given -1"),
        (lambda: layer()(torch.zeros(2, 5, 8)), r"x: expected shape \(B, T, 16\), given"),
        (lambda: layer()(torch.zeros(2, 0, 16)), r"x: expected at least one position, given"),
        (
            lambda: layer()(torch.zeros(2, 5, 16), mask=torch.ones(2, 5)),
            "mask: expected dtype torch.bool",
        ),
    ],
)
def test_a_bad_argument_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
