"""Keys and values of different widths, kept while a text is written."""

import pytest
import torch

from focused_attention.attention.uneven import UnevenCache


@pytest.mark.parametrize("widths", [(3, 5), (5, 3), (4, 4)], ids=str)
def test_keys_and_values_come_back_as_they_were_given(widths):
    state = UnevenCache()
    keys, values = (torch.randn(2, 3, 70, width) for width in widths)
    for part in (slice(0, 60), slice(60, 61), slice(61, 70)):  # the buffers grow once
        k, v = state.append(keys[:, :, part], values[:, :, part])
    assert torch.equal(k, keys)
    assert torch.equal(v, values)
    rows = torch.tensor([1, 1, 0])
    state.reorder(rows)
    k, v = state.append(keys[rows, :, :1], values[rows, :, :1])
    assert torch.equal(k[:, :, :70], keys[rows])
    assert torch.equal(v[:, :, :70], values[rows])
