"""The packed product against the plain one, and that it follows its weight."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import models
from focused_attention.models.projection import BLOCK, FEW, PackedProjection

TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.mark.parametrize("V", [2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK - 1])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 5), (7,)], ids=str)
def test_equals_the_plain_product(V, shape):
    torch.manual_seed(0)
    weight, x = torch.randn(V, 6), torch.randn(*shape, 6)
    assert_close(PackedProjection()(x, weight), x @ weight.T, **TOLERANCE)


def test_a_changed_weight_is_packed_again():
    weight, x = torch.randn(2 * BLOCK, 6), torch.randn(2, 6)
    product = PackedProjection()
    product(x, weight)
    weight.mul_(2)
    assert_close(product(x, weight), x @ weight.T, **TOLERANCE)
    other = torch.randn(2 * BLOCK, 6)
    assert_close(product(x, other), x @ other.T, **TOLERANCE)


def test_only_few_vectors_a_large_matrix_and_no_gradient_suit_it():
    product, large, x = PackedProjection(), torch.randn(2 * BLOCK, 6), torch.randn(1, FEW, 6)
    assert not product.suits(x, large)  # gradients may be wanted
    with torch.no_grad():
        assert product.suits(x, large)
        assert not product.suits(torch.randn(2, FEW, 6), large)
        assert not product.suits(x, large[1:])


def test_a_model_with_a_large_vocabulary_gives_the_same_logits_before_and_after_an_update():
    torch.manual_seed(0)
    model = models.build(
        "whisper",
        n_mels=8,
        n_audio_ctx=9,
        n_audio_state=16,
        n_audio_head=2,
        n_audio_layer=1,
        n_vocab=2 * BLOCK + 3,
        n_text_ctx=9,
        n_text_state=16,
        n_text_head=2,
        n_text_layer=1,
    ).eval()
    mel, tokens = torch.randn(2, 8, 18), torch.randint(50, (2, 5))
    for _ in range(2):
        with torch.no_grad():
            packed = model(mel, tokens).logits
            assert model.decoder.packed.blocks is not None
        assert_close(packed, model(mel, tokens).logits, **TOLERANCE)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    assert model.train().decoder.packed.blocks is None
