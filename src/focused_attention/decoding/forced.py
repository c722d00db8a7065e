"""Teacher forcing: what a text costs a decoder that is given it."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.inference.temperature import temperature
from focused_attention.models import SpeechModel
from focused_attention.models.blocks import Cache
from focused_attention.models.skeleton import TextDecoder


@torch.inference_mode()
def token_losses(
    decoder: TextDecoder,
    audio: Tensor,  # (1, S, D), the encoder's output
    prefix: Sequence[int],
    text: Sequence[int],
    *,
    heard: Cache | None = None,
) -> Tensor:
    """Loss of each token of `text` after `prefix` and the tokens before it, in nats: (tokens,).

    `heard` keeps what cross-attention projects of the audio, for a next call with the same audio.
    """
    cache = decoder.new_cache()
    if heard is not None:
        cache.cross_attn = heard.cross_attn
    given = torch.tensor([[*prefix, *text[:-1]]], device=audio.device)
    logits = decoder(given, audio, cache=cache).logits[0, len(prefix) - 1 :]
    return F.cross_entropy(
        logits.float(), torch.tensor(text, device=audio.device), reduction="none"
    )


@torch.inference_mode()
def heated_losses(
    model: SpeechModel,
    mel: Tensor,  # (1, n_mels, F)
    prefix: Sequence[int],
    text: Sequence[int],
    *,
    slot: str,
    temperatures: Sequence[float],
    layers: list[int] | None = None,
) -> Iterator[tuple[float, Tensor]]:
    """`token_losses` at every temperature of a slot, or of some of its layers.

    The encoder runs once, and what cross-attention reads is projected once, unless it is the
    encoder that is heated.
    """
    again = slot == "encoder"
    audio = None if again else model.encoder(mel).audio
    heard = None if again else model.decoder.new_cache()
    if heard is not None:  # filled before, so that every temperature reads the same
        model.decoder(torch.tensor([list(prefix)], device=audio.device), audio, cache=heard)
    for value in temperatures:
        with temperature(model, value, slot, layers=layers) if value != 1 else nullcontext():
            if again:
                audio = model.encoder(mel).audio
            yield value, token_losses(model.decoder, audio, prefix, text, heard=heard)
