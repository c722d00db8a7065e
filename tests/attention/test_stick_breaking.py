"""Sticks that the nearest key breaks first, against a walk from key to key."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.softmax.stick_breaking import broken
from tests.reference.chosen import assert_is_rows, masks
from tests.reference.compare import TOLERANCE

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "lost": {"remainder": False, "base": 100.0},
    "current": {"attend_current": True},
}
USES = ["self", "causal"]
T = 13


def layer(use="self", **settings):
    torch.manual_seed(0)
    return attention.build("stick_breaking", dims=8, heads=2, causal=use == "causal", **settings)


def walk(module):
    """A row: a stick for each side that is seen, which its keys break one after the other."""
    first, sides = 0 if module.config.attend_current else 1, 1 if module.is_causal else 2

    def row(b, h, i, q, k, v, seen):
        out, rest = 0 * q, 0 * q.sum()
        for side in range(sides):
            stick = torch.ones((), dtype=q.dtype) / sides
            for away in range(first, T):
                j = i + away if side else i - away
                if j in seen:
                    share = torch.sigmoid(k[j] @ q / math.sqrt(len(q)))
                    out = out + stick * share * v[j]
                    stick = stick * (1 - share)
            rest = rest + stick
        return out + rest * v[i] if module.config.remainder and i in seen else out

    return row


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_equals_the_walk(settings, masked, use):
    module = layer(use, **settings | {"base": None})
    x = 3 * torch.randn(2, T, 8)
    assert_is_rows(module, x, None, masks(masked, T, T), walk(module))


def test_of_keys_alike_the_nearer_one_has_more_and_softmax_sees_no_difference():
    module, x = layer("causal"), torch.randn(1, 1, 8).expand(1, 9, 8)
    weights = module(x, need_weights=True).weights[0, :, -1]
    assert (weights[:, 1:-1] > weights[:, :-2]).all()
    plain = attention.build("whisper", dims=8, heads=2, causal=True).adopt(module)
    assert_close(plain(x, need_weights=True).weights[0, :, -1], torch.full((2, 9), 1 / 9))


@pytest.mark.parametrize("use", USES)
def test_rows_sum_to_one_only_with_the_remainder(use):
    x = torch.randn(1, T, 8)
    kept, lost = (
        layer(use, remainder=keep)(x, need_weights=True).weights for keep in (True, False)
    )
    assert_close(kept.sum(dim=-1), torch.ones(1, 2, T))
    assert lost.sum(dim=-1).max() < 1
    assert_close((kept - lost).tril(-1), torch.zeros_like(kept))
    if use == "causal":  # the first query has no key, or all of its own
        assert lost[0, :, 0].abs().max() == 0
        assert_close(kept[0, :, 0, 0], torch.ones(2))


def from_the_end(scores):
    """The weights of some keys for a query behind the last of them, and the rest."""
    scores = torch.cat((scores, scores.new_zeros(*scores.shape[:-1], 1)), dim=-1)[..., None, :]
    weights, rest = broken(scores, torch.arange(scores.shape[-1]) < scores.shape[-1] - 1, True)
    return weights[..., 0, :-1], rest[..., 0, 0]


def test_a_key_that_fits_ends_the_walk():
    weights, rest = from_the_end(torch.tensor([3.0, 1.0, 100.0, -100.0]))
    assert_close(weights, torch.tensor([0.0, 0.0, 1.0, 0.0]))
    assert rest.item() == 0


@pytest.mark.parametrize("level", [-1e4, -90.0, 90.0, 1e4])
def test_no_score_overflows(level):
    scores = torch.full((3, 50), level, requires_grad=True)
    weights, rest = from_the_end(scores)
    assert_close(weights.sum(dim=-1) + rest, torch.ones(3), **TOLERANCE)
    weights.square().sum().backward()
    assert scores.grad.isfinite().all()


def test_a_hidden_key_that_fits_is_no_number_too_large():
    module, x = layer(), torch.randn(1, T, 8)
    x[:, 9:] *= 1e4
    x.requires_grad_()
    module(x, mask=torch.arange(T)[None] < 9).out[:, :9].sum().backward()
    assert x.grad.isfinite().all()


def test_the_sum_of_logarithms_loses_nothing_before_a_key_that_fits():
    """In single precision, a sum with 30,000 in it leaves 2e-3 of what was there before."""
    small = torch.sigmoid(torch.tensor(-9.0)).item()
    weights, _ = from_the_end(torch.tensor([-9.0, 3e4, -9.0, -9.0]))
    expected = torch.tensor([0.0, (1 - small) ** 2, small * (1 - small), small])
    assert_close(weights, expected, rtol=1e-5, atol=0)
