"""Softmax with a null key, against a loop over rows and against x-transformers."""

import math

import pytest
import torch
from torch.testing import assert_close
from x_transformers.attend import Attend

from focused_attention import attention
from focused_attention.attention.softmax.null_key import with_null
from tests.reference.compare import TOLERANCE
from tests.reference.rows import MASKS, USES, assert_is_rows, inputs

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "learned": {"learned": True, "logit": 0.5},
    "three keys": {"logit": math.log(3), "base": 100.0},
}

ALL = [{}, {"logit": math.log(3)}, {"learned": True}]


def layer(use="self", name="null_key", **settings):
    torch.manual_seed(0)
    place = {"causal": use == "causal", "cross": use == "cross"}
    module = attention.build(name, dims=16, heads=2, **place, **settings)
    if settings.get("learned"):
        torch.nn.init.normal_(module.logits)
    return module


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("settings", ALL, ids=lambda s: " ".join(s) or "off by one")
def test_equals_the_loop(settings, masked, use):
    module = layer(use, **settings)

    def row(h, i, q, keys, values):
        exp = (keys @ q / math.sqrt(len(q))).exp()
        return exp @ values / (module.logits[h].exp() + exp.sum())

    assert_is_rows(module, row, use, masked)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys"])
@pytest.mark.parametrize("learned", [False, True])
def test_equals_x_transformers(learned, masked, use):
    module = layer(use, learned=learned)
    x, xa, mask = inputs(use, masked, 16)
    q, k, v = module.project(x, xa)
    how = {"heads": 2, "head_learned_sink": True} if learned else {"add_zero_kv": True}
    peer = Attend(causal=use == "causal", **how)
    if learned:
        peer.head_attn_sink.data.copy_(module.logits)
    ours = module.combine(q, k, v, module.view(x, xa, mask, k)).out
    assert_close(ours, peer(q, k, v, mask)[0], **TOLERANCE)


def weighed(scores, null=0.0):
    return with_null(scores, torch.tensor(null), None)[0]


def test_a_head_may_attend_to_nothing():
    scores = torch.tensor([0.3, -0.7, 1.1, 0.0])
    sums = [weighed(scores + shift).sum().item() for shift in (-20.0, 0.0, 20.0)]
    assert sums[0] < 1e-7
    assert 0.5 < sums[1] < 0.9
    assert sums[2] == pytest.approx(1)
    assert_close(weighed(scores, -1e4), scores.softmax(dim=-1))


def test_the_null_key_is_shifted_with_the_others():
    """To subtract the row's maximum and keep the 1 makes the null as strong as the best key."""
    scores = torch.tensor([5.0, 2.0, -1.0])
    plain = scores.exp() / (1 + scores.exp().sum())
    assert_close(weighed(scores), plain)
    shifted = (scores - scores.max()).exp()
    mistaken = shifted / (1 + shifted.sum())
    assert mistaken.max() < 0.5 < 0.9 < plain.max()


@pytest.mark.parametrize("level", [-1e30, -1e4, -200.0, 200.0, 1e4])
def test_no_score_overflows(level):
    scores = torch.full((2, 7), level, requires_grad=True)
    weights = weighed(scores)
    assert_close(weights.sum(dim=-1), torch.full((2,), float(level > 0)))
    weights.square().sum().backward()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("n", [2, 3])
def test_a_logit_of_log_n_is_n_null_keys(n):
    scores = torch.randn(5, 6)
    keys = torch.cat((scores, torch.zeros(5, n)), dim=-1).softmax(dim=-1)[:, :6]
    assert_close(weighed(scores, math.log(n)), keys)


@pytest.mark.parametrize("settings", ALL, ids=lambda s: " ".join(s) or "off by one")
def test_a_temperature_divides_the_logit_too(settings):
    module, x = layer(**settings), torch.randn(1, 5, 16)
    module.temperature = torch.tensor([0.5, 3.0])
    q, k, _ = module.project(x, None)
    heated = module.logits[:, None] / torch.tensor([[0.5], [3.0]])
    exp = (q @ k.mT / math.sqrt(8)).exp()
    expected = exp / (heated.exp()[None, :, :, None] + exp.sum(dim=-1, keepdim=True))
    assert_close(module(x, need_weights=True).weights, expected)
    v = module.split(module.value(x))
    out = module.out((expected @ v).transpose(1, 2).flatten(2))
    assert_close(module(x).out, out, **TOLERANCE)


def test_what_is_learned_is_a_logit_of_every_head():
    plain = layer(name="whisper").state_dict()
    assert layer().state_dict().keys() == plain.keys()
    learned = layer(learned=True).state_dict()
    assert learned.keys() - plain.keys() == {"logits"}
    assert learned["logits"].shape == (2,)
