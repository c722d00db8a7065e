"""The published local branch: equal to its formulas."""

import pytest
import torch

from focused_attention import attention
from focused_attention.attention import AdaptiveSpanAttention
from tests.reference import published
from tests.reference.compare import assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"max_dist": 5, "max_span": 9, "slid_win": 9},
}
BASE = 10000.0


def test_one_window_equals_the_formulas():
    torch.manual_seed(0)
    module = AdaptiveSpanAttention(BASE, 16, 2, max_dist=9, win_size=9, max_span=9)
    x = torch.randn(2, 9, 16, requires_grad=True)
    out, weights = module(x, x, x, torch.tensor([[1.0], [0.6]]))
    kept = int(9 * 0.8)
    assert out.shape == (2, kept, 16)
    assert weights.shape == (2, 2, kept, kept)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 2, kept))
    options = {"max_dist": 9, "temp_scale": 0.01, "sharpen_longer": False}
    reference = torch.stack(
        [
            published.local_windows(item[:kept], 2, 0.8, slid_win=9, max_span=9, **options)
            for item in x
        ]
    )
    assert_same(out, reference, {"x": x})


@pytest.mark.parametrize("name", ["adaptive_span_published", "hybrid_published"])
def test_the_mechanism_says_that_it_honours_no_mask(name):
    _, cls = attention.load(name)
    assert not cls.masked
    assert not cls.causal
    assert not cls.cross
