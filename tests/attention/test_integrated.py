"""Integrated attention, corrected: equal to a loop, trained, and the same in every run."""

from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.view import attention_mask
from tests.reference import integrated
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"max_span": 6, "ramp": 2},
    "softer": {"max_span": 24, "rounds": 3, "sharpen": False, "temp_scale": 0.5, "base": 100.0},
}
USES = ["self", "causal", "cross"]


def layer(use="self", times=1.0, **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    settings = {"max_span": 9, "ramp": 3, "rounds": 4, "temp_scale": 0.5} | settings
    module = attention.build("integrated", dims=16, heads=2, **place, **settings)
    with torch.no_grad():
        for part in (module.predictor, module.refiner, module.query, module.key):
            part.weight.mul_(times)
        for part in (module.predictor, module.refiner):
            part.weight.add_(0.2 * torch.randn_like(part.weight))
    return module


def padding(lengths, S):
    return torch.arange(S) < torch.tensor(lengths)[:, None]


def step(module, loss, part, rate):
    """Descend, in the parameters whose names begin so."""
    own = [p for name, p in module.named_parameters() if name.startswith(part)]
    with torch.no_grad():
        for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
            parameter.sub_(rate * gradient)


def by_loop(module, x, xa, mask):
    """The output, and the spans."""
    q, k, v = module.project(x, xa)
    where = {"causal": module.is_causal and xa is None, "cross": xa is not None}
    near, spans = integrated.corrected(module, q, k, v, mask, **where)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    size = {"T": q.shape[2], "S": k.shape[2], "device": x.device}
    merged = attention_mask(mask, causal=where["causal"], **size)
    if merged is not None:
        scores = scores.masked_fill(~merged, -1e30)
    far = scores.softmax(dim=-1)
    if merged is not None:
        far = far * merged.any(dim=-1, keepdim=True)
    both = [part.transpose(1, 2).flatten(2) for part in (near, far @ v)]
    return module.out(torch.cat(both, dim=-1)), spans


@pytest.mark.parametrize(
    ("use", "length", "masked", "settings"),
    [
        ("self", 7, "none", {"base": 100.0}),
        ("self", 7, "pairs", {"sharpen": False, "tolerance": 0.5}),
        ("causal", 7, "none", {"sharpen": False, "tolerance": 0.5}),
        ("causal", 7, "pairs", {"base": 100.0}),
        ("cross", 7, "none", {"sharpen": False, "tolerance": 0.5}),
        ("cross", 7, "keys", {}),
        ("cross", 7, "pairs", {}),
        ("self", 50, "keys", {"rounds": 2}),  # longer than three blocks of 16: in blocks
        ("causal", 34, "keys", {"rounds": 2, "base": 100.0}),  # than two
    ],
    ids=str,
)
def test_equals_the_loop_forward_and_backward(use, length, masked, settings):
    module = layer(use, **settings).double()
    (B, T), S = (1 if length > 7 else 2, 3 if use == "cross" else length), length
    x = torch.randn(B, T, 16, dtype=torch.float64, requires_grad=True)
    xa = torch.randn(B, S, 16, dtype=torch.float64, requires_grad=True) if use == "cross" else None
    mask = {
        "none": None,
        "keys": padding((S - 3, 2)[:B], S),
        "pairs": (torch.rand(B, T, S) < 0.7) & padding((S, 2), S)[:, None],
    }[masked]
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    expected, spans = by_loop(module, x, xa, mask)
    out = module(x, xa, mask).out
    assert_same(out, expected, leaves)
    assert_close(module(x, xa, mask, need_weights=True).out, out)
    assert_close(module.spans(x, xa, mask).span.expand_as(spans), spans)


@pytest.mark.parametrize("use", USES)
def test_everything_is_trained(use):
    module = layer(use)
    x = torch.randn(2, 40, 16)
    module(x, x if use == "cross" else None).out.square().mean().backward()
    assert all(parameter.grad.norm() > 0 for parameter in module.parameters())


def test_the_refiner_learns_the_factor_of_the_span_that_the_loss_asks_for():
    """The published learner's reward is not the task's, and its action has no gradient."""
    module, x = layer(), torch.randn(1, 9, 16)
    start = module.spans(x).span.mean().item()
    for wanted in (0.2 * start, 1.8 * start):
        for _ in range(60):
            step(module, (module.spans(x).span.mean() - wanted).square(), "refiner", 0.3)
        assert module.spans(x).span.mean().item() == pytest.approx(wanted, rel=0.1)


def test_two_runs_give_the_same_bytes_and_what_was_saved_computes_what_it_did():
    x = torch.randn(2, 40, 16)
    trained = []
    for _ in range(2):
        module = layer()
        for _ in range(5):
            step(module, module(x).out.square().mean(), "", 1.0)
        trained.append(module)
    assert torch.equal(trained[0](x).out, trained[1](x).out)
    again = layer()
    again.load_state_dict(trained[0].state_dict())
    assert torch.equal(again(x).out, trained[0](x).out)


def test_a_query_looks_again_until_it_finds_what_it_found():
    """Rounds sharpen a row towards one key; where it has one, another round changes nothing."""
    x = torch.randn(1, 30, 16)

    def near(rounds, times=1.0):
        module = layer(rounds=rounds, times=times, max_span=60)
        q, k, v = module.project(x, None)
        return module.refocused(q, k, v, module.view(x, None, None, k))

    def changes(times):
        outs = [near(rounds, times) for rounds in range(1, 12)]
        return torch.stack([(b - a).abs().mean() for a, b in pairwise(outs)])

    assert changes(1.0)[0] > 1e-3
    assert changes(1.0)[-1] < 0.2 * changes(1.0)[0]
    sharp = changes(30.0)  # a row is one key
    assert sharp[-1] < 1e-3 * near(1, 30.0).abs().mean()
    assert layer(rounds=1).state_dict().keys() == layer(rounds=9).state_dict().keys()


def test_with_a_tolerance_of_all_that_is_found_no_query_moves():
    x = torch.randn(2, 30, 16)
    one = layer(rounds=1)(x).out
    assert torch.equal(layer(tolerance=0.99999)(x).out, one)
    assert not torch.allclose(layer()(x).out, one, atol=1e-3)


def test_a_temperature_heats_the_query_in_every_round():
    """As if all keys were divided by it, in the local branch as in the global one."""
    x = torch.randn(1, 30, 16)
    module = layer(base=None)
    q, k, v = module.project(x, None)
    view = module.view(x, None, None, k)
    module.heat = torch.full((2,), 2.0, dtype=torch.float64)
    heated = module.refocused(q / 2, k, v, view)
    inside = type(module).inside
    module.heat = None
    module.inside = lambda q, k, both, *rest: inside(module, q / 2, k, both, *rest)
    assert_close(heated, module.refocused(q, k, v, view), **TOLERANCE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_span": 0}, r"max_span: expected a positive number, given 0"),
        ({"ramp": 0}, r"ramp: expected a positive number, given 0"),
        ({"rounds": 0}, r"rounds: expected a positive number, given 0"),
        ({"tolerance": 0.0}, r"tolerance: expected a positive number, given 0.0"),
        ({"tolerance": 1.0}, r"tolerance: expected a share below 1, given 1.0"),
        ({"actions": 1}, r"actions: expected a positive number, given 0"),
        ({"temp_scale": -1.0}, r"temp_scale: expected zero or more, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
