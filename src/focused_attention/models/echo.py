"""Echo: the same skeleton with rotary self-attention and focus blocks before the encoder's own."""

from dataclasses import dataclass

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
    encoder: Slot | str | dict = "rotary"
    decoder: Slot | str | dict = "rotary"
    cross: Slot | str | dict = "whisper"
    focus: Slot | str | dict = "rotary"
    focus_blocks: int = 1


class Echo(SpeechModel):
    """Focus blocks, then residual blocks; rotary positions in self-attention and no absolute ones.

    After the focused attention module's pilot. A focus block is built as a residual block, so an
    Echo of n focus and L residual blocks has a Whisper of n + L encoder layers as its equal. Audio
    and text may be longer than n_audio_ctx and n_text_ctx.
    """

    def __init__(self, config: Config):
        encoder, decoder, cross, focus = map(
            Slot.of, (config.encoder, config.decoder, config.cross, config.focus)
        )
        super().__init__(
            config,
            AudioEncoder(
                config,
                encoder_blocks(
                    config, *[focus] * config.focus_blocks, *[encoder] * config.n_audio_layer
                ),
                positions=None,
            ),
            TextDecoder(config, decoder_blocks(config, decoder, cross), absolute_positions=False),
        )
