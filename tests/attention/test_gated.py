"""Gated output, against a loop and x-transformers."""

import math

import pytest
import torch
from torch.testing import assert_close
from x_transformers.x_transformers import Attention

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "headwise": {"gate": "headwise", "spread": 1.0, "base": 100.0},
}

USES = ["self", "causal", "cross"]
GATES = ["elementwise", "headwise"]
D, H = 16, 2


def layer(use="self", seed=0, **settings):
    torch.manual_seed(seed)
    return attention.build(
        "gated", dims=D, heads=H, causal=use == "causal", cross=use == "cross", **settings
    )


def by_loop(module, x, xa, mask):
    """One query of one head at a time, from the projections on."""
    source, K = x if xa is None else xa, D // H
    q = x @ module.query.weight.T + module.query.bias
    k = source @ module.key.weight.T
    v = source @ module.value.weight.T + module.value.bias
    gate = x @ module.gate.weight.T + module.gate.bias
    rows = []
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            seen = [j for j in range(source.shape[1]) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if mask[b, j]]
            heads = []
            for h in range(H):
                of = slice(h * K, (h + 1) * K)
                scores = k[b, seen, of] @ q[b, i, of] / math.sqrt(K)
                opened = gate[b, i, of] if module.config.gate == "elementwise" else gate[b, i, h]
                heads.append(scores.softmax(dim=0) @ v[b, seen, of] / (1 + torch.exp(-opened)))
            rows.append(torch.cat(heads))
    return torch.stack(rows).view(x.shape) @ module.out.weight.T + module.out.bias


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("gate", GATES)
def test_equals_the_loop(gate, masked, use):
    module = layer(use, gate=gate, spread=1.0)
    T, S = (5, 9) if use == "cross" else (9, 9)
    x = torch.randn(2, T, D, requires_grad=True)
    xa = torch.randn(2, S, D, requires_grad=True) if use == "cross" else None
    mask = torch.arange(S) < torch.tensor([S, 4])[:, None] if masked else None
    expected = by_loop(module, x, xa, mask)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("gate", GATES)
def test_equals_x_transformers_without_biases(gate, causal):
    module = layer("causal" if causal else "self", gate=gate, spread=1.0)
    peer = Attention(
        D, dim_head=D // H, heads=H, causal=causal, gate_values=True,
        gate_values_headwise=gate == "headwise",
    )  # fmt: skip
    pairs = {
        "query": peer.to_q, "key": peer.to_k, "value": peer.to_v,
        "gate": peer.to_v_gate, "out": peer.to_out,
    }  # fmt: skip
    for name, theirs in pairs.items():
        ours = getattr(module, name)
        theirs.weight = ours.weight
        if ours.bias is not None:
            torch.nn.init.zeros_(ours.bias)
    x = torch.randn(2, 11, D, requires_grad=True)
    leaves = {"x": x} | {name: getattr(module, name).weight for name in pairs}
    assert_same(module(x).out, peer(x), leaves)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("plain", ["whisper", "rotary"])
def test_it_starts_as_what_it_adopted_or_near(plain, gate):
    source = attention.build(plain, dims=D, heads=H)
    base = 10000.0 if plain == "rotary" else None
    x = torch.randn(2, 40, D)
    expected = source(x).out
    exact, near, far = (
        layer(gate=gate, spread=spread, base=base).adopt(source)(x).out for spread in (0, 0.02, 1)
    )
    assert_close(exact, expected, **TOLERANCE)
    away = [(out - expected).norm() / expected.norm() for out in (near, far)]
    assert 0 < away[0] < 0.1 < away[1]
    gated = layer(gate=gate, base=base).adopt(source)
    assert torch.equal(layer(gate=gate, base=base, seed=1).adopt(gated)(x).out, gated(x).out)


def test_from_a_closed_start_its_gates_are_trained():
    module = layer(spread=0).adopt(attention.build("whisper", dims=D, heads=H))
    module(torch.randn(2, 30, D)).out.square().mean().backward()
    assert (module.gate.weight.grad.abs().amax(dim=1) > 0).all()
    assert (module.gate.bias.grad != 0).all()


def test_a_closed_gate_silences_a_head_without_touching_its_weights():
    module, x = layer(gate="headwise"), torch.randn(1, 9, D)
    before = module(x, need_weights=True).weights
    module.gate.bias.data[:] = torch.tensor([-100.0, 100.0])
    out, after, _ = module(x, need_weights=True)
    assert torch.equal(after, before)
    assert module.gates(x)[0, :, 0, 0].tolist() == [0.0, 1.0]
    v = module.split(module.value(x))
    read = torch.cat((torch.zeros(1, 9, D // H), after[:, 1] @ v[:, 1]), dim=-1)
    assert_close(out, module.out(read), **TOLERANCE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gate": "open"}, r"gate: expected one of elementwise, headwise, given 'open'"),
        ({"spread": -0.1}, r"spread: expected zero or more, given -0.1"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
