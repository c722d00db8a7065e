"""What is done to the attention of a trained model while it runs, without training it again.

A slot is a place in the model: `encoder` self-attention (focus blocks included), `decoder`
self-attention or `cross`-attention. Every intervention is a file. Those that are context managers
leave the model as it was; the neutral one changes nothing at all, so its outputs are the same to
the bit.
"""

from contextlib import AbstractContextManager

from focused_attention.attention import Mechanism
from focused_attention.models import SpeechModel

SLOTS = ("encoder", "decoder", "cross")


class UnsuitedError(ValueError):
    """A mechanism to which an intervention cannot be made: which, and what it lacks."""


def refusal(intervention: AbstractContextManager) -> str | None:
    """Why an intervention cannot be made; None if it can.

    >>> from focused_attention.inference.temperature import temperature
    >>> from focused_attention.models import build
    >>> sizes = dict(n_audio_ctx=9, n_audio_state=8, n_audio_head=2, n_audio_layer=1, n_text_ctx=9,
    ...     n_text_state=8, n_text_head=2, n_text_layer=1)
    >>> echo = build("echo", n_mels=4, n_vocab=9, focus="mixture_autoregressive", **sizes)
    >>> refusal(temperature(echo, 0.5, "encoder"))
    'MixtureAutoregressive has no query projection to scale'
    >>> refusal(temperature(echo, 0.5, "cross"))
    """
    try:
        with intervention:
            return None
    except UnsuitedError as error:
        return str(error)


def attentions(model: SpeechModel, slot: str) -> list[Mechanism]:
    """The attention layers of a slot, from the first block to the last.

    Raises ValueError for an unknown slot.
    """
    match slot:
        case "encoder":
            return [block.attn for block in model.encoder.blocks]
        case "decoder":
            return [block.attn for block in model.decoder.blocks]
        case "cross":
            return [block.cross_attn for block in model.decoder.blocks]
    raise ValueError(f"slot: expected one of {', '.join(SLOTS)}, given {slot!r}")
