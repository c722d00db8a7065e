"""Where segments begin and what they pool, against loops and against x-transformers."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from x_transformers.entropy_based_tokenizer import EntropyBasedTokenizer

from focused_attention.attention.segments import Segments, cut
from tests.reference.segments import cut_by_loop


def levels(B=3, S=37, seed=0):
    return torch.rand(B, S, generator=torch.Generator().manual_seed(seed))


def seen_to(lengths, S=37):
    return torch.arange(S) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("quantile", [0.0, 0.4, 0.75, 1.0])
@pytest.mark.parametrize("longest", [None, 1, 3])
def test_cuts_are_those_of_the_loop(quantile, longest):
    seen, high = seen_to((37, 20, 1)), levels()
    holes = seen & (levels(seed=1) > 0.3)
    for visible in (seen, holes):
        of = cut(high, visible, quantile, longest)
        for b in range(3):
            mine = visible[b].nonzero().flatten().tolist()
            expected = cut_by_loop(high[b, mine].tolist(), quantile, longest)
            assert of[b, mine].tolist() == expected


@pytest.mark.parametrize("longest", [None, 4])
def test_cuts_are_those_of_x_transformers(longest):
    """Its threshold is given; between two entropies, it is ours."""
    logits = 3 * torch.randn(1, 29, 7, generator=torch.Generator().manual_seed(0))
    entropies = torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1)
    ordered = entropies[0].sort().values
    given = nn.Module()
    given.forward = lambda tokens: logits
    threshold = ordered[21:23].mean().item()  # 0.75 of 28 steps is 21, the value itself
    peer = EntropyBasedTokenizer(given, threshold, max_token_size=longest)
    of = cut(entropies, entropies > 0, 0.75, longest)
    assert of[0].bincount().tolist() == [n for n in peer(torch.zeros(1, 29))[0].tolist() if n]


def test_padding_moves_no_boundary_on_either_side():
    high = levels(B=1, S=20)
    alone = cut(high, seen_to((20,), 20), 0.75, 3)
    wide = torch.cat((torch.full((1, 9), 5.0), high, torch.full((1, 8), -5.0)), dim=1)
    seen = (torch.arange(37)[None] >= 9) & (torch.arange(37)[None] < 29)
    assert torch.equal(cut(wide, seen, 0.75, 3)[:, 9:29], alone)


def test_no_frame_that_is_seen_is_no_segment():
    seen = seen_to((0, 5), 5)
    segments = Segments.build(cut(levels(2, 5), seen, 0.5, None), seen)
    assert segments.count[0].sum() == 0
    assert segments.count[1].sum() == 5
    assert segments.share.isfinite().all()
    assert segments.share[0].abs().max() == 0


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_pooled_is_the_mean_and_weights_are_spread_by_the_same_shares(weighted):
    of = torch.tensor([[0, 0, 1, 1, 1, 2], [0, 1, 1, 2, 0, 0]])
    seen = torch.tensor([[1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 0, 0]]) > 0
    by = torch.rand(2, 6).double() if weighted else None
    segments, x = Segments.build(of, seen, by), torch.randn(2, 3, 6, 4).double()
    weights, v = torch.rand(2, 3, 5, 3).double(), torch.randn(2, 3, 6, 4).double()
    pooled, spread = segments.pool(x), segments.spread(weights)
    assert segments.count.tolist() == [[2, 2, 1], [1, 2, 1]]
    for b in range(2):
        for p in range(3):
            mine = [j for j in range(6) if of[b, j] == p and seen[b, j]]
            shares = torch.ones(len(mine)).double() if by is None else by[b, mine]
            shares = shares / shares.sum()
            assert_close(pooled[b, :, p], (shares[:, None] * x[b][:, mine]).sum(dim=1))
            assert_close(spread[b, ..., mine], weights[b, ..., p, None] * shares)
    assert spread[~seen[:, None, None].expand_as(spread)].abs().max() == 0
    assert_close(spread @ v, weights @ segments.pool(v))
