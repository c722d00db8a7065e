"""The steps of `word_times.align`, one by one: one forward pass, then any heads, any sharpness.

Shape alphabet: H heads of all layers, from the first layer's first on; L tokens of the text and its
end; S encoder positions that are speech.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.decoding.word_times import heard, path
from focused_attention.models import SpeechModel
from focused_attention.speech.whisper_tokens import TIME_STEP, WhisperTokenizer


class Forced(NamedTuple):
    """What a decoder did with a text that it was given."""

    weights: Tensor  # (H, tokens with prefix and end, S), of cross-attention
    losses: Tensor  # (L,), nats


@torch.inference_mode()
def forced(
    model: SpeechModel,
    tokenizer: WhisperTokenizer,
    audio: Tensor,
    prefix: Sequence[int],
    text: Sequence[int],
    *,
    positions: int,
) -> Forced:
    """One forward pass over `text`, whose recording is the first `positions` of audio (1, S, D)."""
    whole = [*prefix, tokenizer.no_timestamps, *text, tokenizer.eot]
    output = model.decoder(torch.tensor([whole], device=audio.device), audio, need_weights=True)
    weights = torch.cat([layer[0] for layer in output.weights])[..., :positions].float()
    logits = output.logits[0, len(prefix) : -1].float()
    asked = torch.tensor([*text, tokenizer.eot], device=audio.device)
    return Forced(weights, F.cross_entropy(logits, asked, reduction="none"))


def pictures(weights: Tensor, prefix: Sequence[int], qk_scale: float = 1.0) -> np.ndarray:
    """Where each head heard each token: (H, L, S) of weights (H, tokens, S) at `qk_scale`.

    The mean over some heads is the picture that `align` makes of them.
    """
    scaled = weights**qk_scale if qk_scale != 1 else weights
    scaled = scaled / scaled.sum(dim=-1, keepdim=True)
    return np.stack([heard(head[None])[len(prefix) : -1] for head in scaled])


def begins(picture: np.ndarray) -> np.ndarray:
    """When each token of a picture (L, S) begins to be heard, in seconds: (L,).

    The first begins at 0, for every way through a picture starts in its corner.
    """
    rows, columns = path(-picture.astype(np.float64))
    return columns[np.diff(rows, prepend=-1) > 0] * TIME_STEP


def edges(words: Sequence[Sequence[int]], times: np.ndarray) -> np.ndarray:
    """Start and end of each word, (words, 2), where `times` are its tokens' and the end's.

    Words touch: each ends where the next begins.

    >>> edges([[7], [8, 9]], np.array([0.0, 0.5, 0.7, 1.0]))
    array([[0. , 0.5],
           [0.5, 1. ]])
    """
    ends = np.cumsum([len(tokens) for tokens in words])
    return np.stack([times[[0, *ends[:-1]]], times[ends]], axis=1)
