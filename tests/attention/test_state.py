"""A decoding state of a mechanism's own: linear attention, whose state is a matrix."""

from dataclasses import dataclass

import pytest
import torch
from torch.testing import assert_close

from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.state import State


@dataclass(kw_only=True, slots=True)
class Config:
    pass


class Matrix(State):
    """Sums over the keys so far: of k vᵀ, (B, H, K, K), and of k, (B, H, K)."""

    def __init__(self):
        self.length, self.products, self.keys = 0, 0.0, 0.0

    def reorder(self, index):
        self.products, self.keys = self.products[index], self.keys[index]


class LinearAttention(Mechanism):
    """elu(q) + 1 against elu(k) + 1, summed: https://arxiv.org/abs/2006.16236."""

    recurrent, weighted = True, False

    def new_state(self):
        return Matrix()

    def combine(self, q, k, v, view):
        q, k = (torch.nn.functional.elu(x) + 1 for x in (q, k))
        products, keys = (k[..., None] * v[..., None, :]).cumsum(2), k.cumsum(2)  # (B, H, T, K, K)
        if view.state is not None:
            products, keys = products + view.state.products, keys + view.state.keys
            view.state.products, view.state.keys = products[:, :, -1:], keys[:, :, -1:]
            view.state.length += view.T
        norm = (q * keys).sum(-1, keepdim=True)
        return AttentionOutput((q[..., None, :] @ products).squeeze(-2) / norm)


@pytest.mark.parametrize("chunks", [(1,) * 13, (4, 1, 5, 3), (13,)], ids=len)
def test_a_matrix_as_state_decodes_as_the_whole_sequence(chunks):
    torch.manual_seed(0)
    layer = LinearAttention(Config(), 16, 2, True)
    x = torch.randn(3, 13, 16)
    state = layer.new_state()
    steps = [layer(part, state=state).out for part in x.split(chunks, dim=1)]
    assert_close(torch.cat(steps, dim=1), layer(x).out, rtol=0, atol=1e-5)
    assert state.length == 13
    assert state.products.shape == (3, 2, 1, 8, 8)  # however long the sequence


def test_rows_are_chosen_by_the_state_itself():
    torch.manual_seed(0)
    layer = LinearAttention(Config(), 16, 2, True)
    x, rows = torch.randn(3, 9, 16), torch.tensor([2, 0, 0])
    state = layer.new_state()
    layer(x[:, :5], state=state)
    state.reorder(rows)
    assert_close(layer(x[rows, 5:], state=state).out, layer(x[rows]).out[:, 5:], rtol=0, atol=1e-5)


def test_a_state_without_rows_says_so():
    with pytest.raises(NotImplementedError, match="State cannot choose rows of its batch"):
        State().reorder(torch.tensor([0]))
