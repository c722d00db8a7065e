"""The steps of alignment, one by one, make what `align` makes at once."""

import numpy as np
import pytest
import torch

from focused_attention.decoding.boundaries import begins, edges, forced, pictures
from focused_attention.decoding.forced import token_losses
from focused_attention.decoding.word_times import align
from tests.stages.word_strings import HEADS, LAYERS, listener

TEXT = "ba dogu mi sito nopa ke ru"
POSITIONS = 131


@pytest.fixture(scope="module")
def heard():
    small = listener()
    audio = torch.randn(1, 150, 16, generator=torch.Generator().manual_seed(3))
    text = small.tokenizer.encode(TEXT)
    given = forced(small.model, small.tokenizer, audio, [21], text, positions=POSITIONS)
    return small, audio, text, given


@pytest.mark.parametrize("qk_scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("heads", [[(1, 0)], [(0, 1), (1, 0), (1, 1)]], ids=["one", "three"])
def test_step_by_step_is_the_same_as_at_once(heard, qk_scale, heads):
    small, audio, text, given = heard
    whole = align(
        small.model, small.tokenizer, audio, [21], text, heads,
        positions=POSITIONS, qk_scale=qk_scale,
    )  # fmt: skip
    drawn = pictures(given.weights, [21], qk_scale)
    picture = drawn[[layer * HEADS + head for layer, head in heads]].mean(axis=0)
    np.testing.assert_allclose(picture[:-1], whole.picture, atol=1e-5)
    found = edges([word.tokens for word in whole.words], begins(picture))
    told = [(word.start, word.end) for word in whole.words]
    np.testing.assert_allclose(found, told, atol=1e-9)
    assert len(told) == len(TEXT.split())


def test_losses_are_those_of_a_given_text(heard):
    small, audio, text, given = heard
    tokenizer = small.tokenizer
    asked = [*text, tokenizer.eot]
    expected = token_losses(small.model.decoder, audio, [21, tokenizer.no_timestamps], asked)
    torch.testing.assert_close(given.losses, expected, rtol=1e-5, atol=1e-5)
    assert given.weights.shape == (LAYERS * HEADS, len(text) + 3, POSITIONS)
