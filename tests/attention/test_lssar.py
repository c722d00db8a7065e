"""LSSA and LSSAR in double precision, against a loop over rows."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.softmax.lssar import reweighted
from focused_attention.metrics.sharpness import entropy
from tests.reference.compare import TOLERANCE
from tests.reference.rows import MASKS, USES, assert_is_rows

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "lssa": {"power": None},
    "cubed": {"power": 3.0, "base": 100.0},
}


def layer(use="self", dims=16, **settings):
    torch.manual_seed(0)
    place = {"dims": dims, "heads": 2, "causal": use == "causal", "cross": use == "cross"}
    return attention.build("lssar", **place, **settings)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("power", [None, 1.0, 3.0, 15.0])
def test_equals_the_loop(power, masked, use):
    def row(h, i, q, keys, values):
        n = len(keys)
        cosines = torch.stack([k @ q / (k.norm() * q.norm()) for k in keys])
        weights = (1 + (math.log(len(q)) * math.log(n) * cosines).exp()).log()
        weights = weights / weights.sum()
        if power is not None:
            above = n * weights - (1 if n > 3 else 0)
            powers = torch.where(above > 0, above, torch.zeros_like(above)) ** power
            weights = powers / (powers.sum() + 1e-8)
        return weights @ values

    assert_is_rows(layer(use, power=power).double(), row, use, masked)


def test_re_weighting_leaves_what_is_above_the_mean_of_its_row():
    x = torch.randn(2, 40, 16)
    before = layer(power=None)(x, need_weights=True).weights
    after = layer()(x, need_weights=True).weights
    assert_close(before.sum(dim=-1), torch.ones(2, 2, 40))
    assert (before > 0).all()
    assert torch.equal(after > 1e-12, (after > 1e-12) & (before > 1 / 40))
    assert after.eq(0).float().mean() > 0.3
    assert (entropy(after) < entropy(before)).all()


def test_the_first_three_rows_of_causal_attention_keep_all_their_keys():
    weights = layer("causal", power=3.0)(torch.randn(1, 9, 16), need_weights=True).weights[0]
    kept = weights.gt(0).sum(dim=-1)  # (H, T)
    assert kept[:, :3].tolist() == [[1, 2, 3]] * 2
    assert (kept[:, 3:] < torch.arange(4, 10)).all()


def test_neither_the_longest_row_overflows_nor_does_a_flat_one_divide_by_zero():
    n = torch.tensor([12000.0])
    peak = torch.zeros(12000, requires_grad=True)
    weights = reweighted(torch.cat((peak[1:], 1 - peak[:1])), n, 15.0)  # 12000^15 > 3e38
    assert weights.tolist() == [0.0] * 11999 + [1.0]
    weights[-1].backward()
    assert peak.grad.isfinite().all()
    flat = torch.full((4,), 0.25, requires_grad=True)
    weights = reweighted(flat, torch.tensor([4.0]), 15.0)
    assert weights.tolist() == [0.0] * 4
    weights.sum().backward()
    assert flat.grad.isfinite().all()


def test_only_directions_matter():
    module = layer(power=None)
    torch.nn.init.zeros_(module.query.bias)
    x = torch.randn(1, 9, 16)
    first, second = (module(s * x, need_weights=True).weights for s in (1, 30))
    assert_close(first, second, **TOLERANCE)


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"power: expected 1 or more, or None, given 0.5"):
        layer(power=0.5)
