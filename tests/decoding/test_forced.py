"""Losses of a given text: as the plain forward has them, whatever is kept between calls."""

import pytest
import torch
import torch.nn.functional as F

from focused_attention import models
from focused_attention.decoding.forced import heated_losses, token_losses
from focused_attention.inference.temperature import temperature

PREFIX, TEXT = [1, 2], [5, 9, 11, 3, 0]


@pytest.fixture
def whisper():
    torch.manual_seed(0)
    model = models.build(
        "whisper", n_mels=8, n_audio_ctx=40, n_audio_state=16, n_audio_head=2, n_audio_layer=2,
        n_vocab=13, n_text_ctx=12, n_text_state=16, n_text_head=2, n_text_layer=2,
    )  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.fixture
def mel():
    return torch.randn(1, 8, 60, generator=torch.Generator().manual_seed(1))


def by_forward(model, mel):
    with torch.no_grad():
        logits = model(mel, torch.tensor([PREFIX + TEXT[:-1]])).logits[0, len(PREFIX) - 1 :]
    return F.cross_entropy(logits, torch.tensor(TEXT), reduction="none")


def test_the_losses_are_those_of_the_plain_forward(whisper, mel):
    with torch.no_grad():
        audio = whisper.encoder(mel).audio
    expected = by_forward(whisper, mel)
    torch.testing.assert_close(token_losses(whisper.decoder, audio, PREFIX, TEXT), expected)
    kept = whisper.decoder.new_cache()
    for _ in range(2):  # the second call reads what the first has projected
        found = token_losses(whisper.decoder, audio, PREFIX, TEXT, heard=kept)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("slot", ["encoder", "decoder", "cross"])
@pytest.mark.parametrize("layers", [None, [1]])
def test_every_temperature_is_that_of_the_model_heated_by_hand(whisper, mel, slot, layers):
    values = [0.5, 1.0, 2.0]
    options = {"slot": slot, "temperatures": values, "layers": layers}
    found = dict(heated_losses(whisper, mel, PREFIX, TEXT, **options))
    assert list(found) == values
    for value in values:
        with temperature(whisper, value, slot, layers=layers):
            torch.testing.assert_close(found[value], by_forward(whisper, mel))
    assert not torch.allclose(found[0.5], found[1.0], atol=1e-4)
    again = dict(heated_losses(whisper, mel, PREFIX, TEXT, **options | {"temperatures": [1.0]}))
    assert torch.equal(again[1.0], found[1.0])  # to the bit: nothing is left of the others
