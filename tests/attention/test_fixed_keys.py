"""Attention with queries and keys of one fixed sequence, against a loop."""

import copy

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from tests.reference.compare import TOLERANCE, assert_same
from tests.reference.derived import by_loop

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "short": {"length": 7, "base": 100.0},
}

USES = ["self", "causal", "cross"]
D, LENGTH = 16, 6


def layer(use="self", seed=0, **settings):
    torch.manual_seed(seed)
    return attention.build(
        "fixed_keys", dims=D, heads=2, causal=use == "causal", cross=use == "cross",
        **{"length": LENGTH} | settings,
    )  # fmt: skip


def after_itself(frames, count):
    """`count` frames of which the first follows the last."""
    return torch.stack([frames[i % len(frames)] for i in range(count)])


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
def test_equals_the_loop(masked, use):
    module = layer(use)
    T, S = (5, 9) if use == "cross" else (9, 9)
    first, first_xa = torch.randn(1, T, D), torch.randn(1, S, D)
    module(first, first_xa if use == "cross" else None)
    x = torch.randn(2, T, D, requires_grad=True)
    xa = torch.randn(2, S, D, requires_grad=True) if use == "cross" else None
    keys = torch.arange(S) < torch.tensor([S, 4])[:, None]
    pairs = ((torch.rand(2, T, S) < 0.7) | (torch.arange(S) == 0)) & keys[:, None]
    mask = {"none": None, "keys": keys, "pairs": pairs}[masked]
    kept = (first_xa if use == "cross" else first)[0, :LENGTH]
    fixed = after_itself(kept, S).expand(2, S, D)
    asking, source = (fixed, x) if xa is None else (x, xa)
    expected = by_loop(module, asking, fixed, source, mask)
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


def test_to_the_sequence_itself_it_is_plain_attention():
    plain, speech = attention.build("whisper", dims=D, heads=2), torch.randn(1, LENGTH, D)
    module = layer().adopt(plain)
    assert_close(module(speech).out, plain(speech).out, **TOLERANCE)
    weights = plain(speech, need_weights=True).weights
    later = module(torch.randn(3, LENGTH, D), need_weights=True).weights
    assert_close(later, weights.expand(3, -1, -1, -1))


@pytest.mark.parametrize("pairs", [False, True])
def test_it_keeps_what_can_be_seen_of_the_first_batch_in_training_and_no_other(pairs):
    module, x = layer().eval(), torch.randn(3, 9, D)
    mask = torch.arange(9) < torch.tensor([2, 0, 3])[:, None]
    given = (mask[:, None] & torch.eye(9, dtype=torch.bool)) if pairs else mask
    before = module.sequence.clone()
    module(x, mask=given)
    assert torch.equal(module.sequence, before)  # nothing is trained
    module.train()
    module(x, mask=torch.zeros_like(mask))
    assert torch.equal(module.sequence, before)  # nothing can be seen
    module(x, mask=given)
    heard = torch.cat((x[0, :2], x[2, :3]))
    assert torch.equal(module.sequence, after_itself(heard, LENGTH))
    module(torch.randn(3, 9, D))
    assert torch.equal(module.sequence, after_itself(heard, LENGTH))


def test_the_sequence_is_saved_with_the_weights_and_no_gradient_reaches_it():
    module, x = layer(), torch.randn(1, 9, D, requires_grad=True)
    module(2 * x).out.square().mean().backward()
    assert not module.sequence.requires_grad
    other = layer(seed=1)
    other.load_state_dict(copy.deepcopy(module.state_dict()))
    other(torch.randn(1, 9, D))
    assert torch.equal(other.sequence, module.sequence)


def test_it_is_decoded_where_the_sequence_begins_again():
    module = layer("causal").eval()
    x, state = torch.randn(1, 4 * LENGTH, D), module.new_state()
    steps = [module(part, state=state).out for part in x.split(1, dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **TOLERANCE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": torch.randn(1, 9, D + 1)}, r"x: expected shape \(B, T, 16\), given \(1, 9, 17\)"),
        (
            {"x": torch.randn(1, 9, D), "mask": torch.ones(1, 8, dtype=torch.bool)},
            r"mask: expected shape \(1, 9\) or \(1, 9, 9\), given \(1, 8\)",
        ),
    ],
    ids=["width", "mask"],
)
def test_what_it_cannot_keep_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        layer()(**given)


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"length: expected a positive number, given 0"):
        layer(length=0)
