"""Whisper: OpenAI's architecture, whose state dict loads strictly."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.models.blocks import Slot
from focused_attention.models.skeleton import (
    AudioEncoder,
    Dimensions,
    SpeechModel,
    TextDecoder,
    decoder_blocks,
    encoder_blocks,
)


@dataclass(kw_only=True, slots=True)
class Config(Dimensions):
    encoder: Slot | str | dict = "whisper"
    decoder: Slot | str | dict = "whisper"
    cross: Slot | str | dict = "whisper"


class Whisper(SpeechModel):
    """https://arxiv.org/abs/2212.04356, with absolute positions in encoder and decoder.

    Deviations from openai/whisper: audio of any length up to n_audio_ctx instead of padding to 30
    seconds, masks that hide padding, convolution strides as a parameter, a mechanism in every slot.

    >>> model = Whisper(Config(
    ...     n_mels=8, n_audio_ctx=20, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
    ...     n_vocab=11, n_text_ctx=9, n_text_state=16, n_text_head=2, n_text_layer=1))
    >>> model(torch.randn(3, 8, 31), torch.zeros(3, 5, dtype=torch.long)).logits.shape
    torch.Size([3, 5, 11])
    """

    def __init__(self, config: Config):
        encoder, decoder, cross = map(Slot.of, (config.encoder, config.decoder, config.cross))
        super().__init__(
            config,
            AudioEncoder(
                config,
                encoder_blocks(config, *[encoder] * config.n_audio_layer),
                sinusoids(config.n_audio_ctx, config.n_audio_state),
            ),
            TextDecoder(config, decoder_blocks(config, decoder, cross), absolute_positions=True),
        )


def sinusoids(length: int, channels: int, max_timescale: float = 10000.0) -> Tensor:
    """Sines, then cosines, of wavelengths from 2π to 2π max_timescale: (length, channels)."""
    half = channels // 2
    rates = torch.exp(-math.log(max_timescale) / (half - 1) * torch.arange(half))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
