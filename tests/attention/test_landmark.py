"""Blocks behind landmarks, against a loop over queries and the groups of their softmax."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.chosen import assert_is_rows, masks
from tests.reference.compare import TOLERANCE

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "small": {"block": 5, "base": 100.0},
    "chosen": {"block": 4, "top_k": 2},
}

USES = ["self", "causal", "cross"]
S, TEXT = 14, 5


def layer(use="self", random=True, **settings):
    torch.manual_seed(0)
    module = attention.build(
        "landmark", dims=12, heads=3, causal=use == "causal", cross=use == "cross", **settings
    )
    if random:
        torch.nn.init.normal_(module.reader)
        torch.nn.init.normal_(module.landmark)
    return module


def inputs(use):
    T = TEXT if use == "cross" else S
    return torch.randn(2, T, 12), torch.randn(2, S, 12) if use == "cross" else None, T


def by_groups(module, use, kept=None):
    """One row: its softmax of own keys and landmarks, and a softmax for every other block."""
    size = module.config.block

    def row(b, h, i, q, k, v, seen):
        scale = q.shape[0] ** -0.5
        groups = {n: [j for j in seen if j // size == n] for n in {j // size for j in seen}}
        own = groups.pop(i // size, []) if use != "cross" else []
        through = {}
        for n, keys in groups.items():
            share = (k[keys] @ module.reader[h] * scale).softmax(dim=0)
            landmark = share @ k[keys] + module.landmark[h]
            through[n] = landmark @ q * scale + torch.tensor(float(len(keys))).log()
        if kept is not None:
            through = {n: through[n] for n in sorted(through, key=through.get)[-kept:]}
        together = [k[j] @ q * scale for j in own] + list(through.values())
        if not together:
            return 0 * q
        shares = torch.stack(together).softmax(dim=0)
        out = sum((w * v[j] for w, j in zip(shares, own, strict=False)), 0 * q)
        for w, n in zip(shares[len(own) :], through, strict=True):
            keys = groups[n]
            out = out + w * ((k[keys] @ q * scale).softmax(dim=0) @ v[keys])
        return out

    return row


@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("block", [1, 5, 30])
@pytest.mark.parametrize("use", USES)
def test_equals_the_loop(use, block, masked):
    module, (x, xa, T) = layer(use, block=block), inputs(use)
    assert_is_rows(module, x, xa, masks(masked, T, S), by_groups(module, use))


@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize(("block", "top_k"), [(4, 1), (3, 2)])
@pytest.mark.parametrize("use", USES)
def test_equals_the_loop_where_blocks_are_chosen(use, block, top_k, masked):
    module, (x, xa, T) = layer(use, block=block, top_k=top_k).eval(), inputs(use)
    assert_is_rows(module, x, xa, masks(masked, T, S), by_groups(module, use, top_k))


def test_blocks_are_chosen_when_not_training_alone():
    module, x = layer(block=4, top_k=1), torch.randn(1, 20, 12)
    read = module(x, need_weights=True).weights.gt(0).unflatten(-1, (5, 4)).any(dim=-1).sum(dim=-1)
    assert read.eq(5).all()
    module.eval()
    read = module(x, need_weights=True).weights.gt(0).unflatten(-1, (5, 4)).any(dim=-1).sum(dim=-1)
    assert read.eq(2).all()


def test_a_landmark_opens_its_block_and_changes_nothing_inside_it():
    module, x = layer(block=5), torch.randn(1, 20, 12)
    before = module(x, need_weights=True).weights[0].unflatten(-1, (4, 5))
    torch.nn.init.normal_(module.landmark)
    after = module(x, need_weights=True).weights[0].unflatten(-1, (4, 5))
    shares = [w[:, :5, 2].sum(dim=-1, keepdim=True) for w in (before, after)]
    assert_close(before[:, :5, 2] / shares[0], after[:, :5, 2] / shares[1], **TOLERANCE)
    assert not torch.allclose(*shares, atol=1e-2)


def test_it_starts_as_plain_attention_where_the_keys_of_a_block_are_alike():
    source, x = attention.build("whisper", dims=12, heads=3), torch.randn(1, 20, 12)
    module = layer(random=False, block=4).adopt(source)
    alike = x[:, ::4].repeat_interleave(4, dim=1)
    assert_close(module(alike).out, source(alike).out, **TOLERANCE)
    away = (module(x).out - source(x).out).norm() / source(x).out.norm()
    assert 1e-4 < away < 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block": 0}, r"block: expected a positive number, given 0"),
        ({"top_k": 0}, r"top_k: expected a positive number, given 0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
