"""Plain multi-head softmax attention, as in Whisper."""

from dataclasses import dataclass

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    pass


class WhisperAttention(Mechanism):
    """softmax(q kᵀ / √K) v: the baseline of every comparison.

    https://arxiv.org/abs/1706.03762, as in openai/whisper `model.py`. Deviation: masks are honoured
    and a row that sees nothing is zero.
    """

    def combine(self, q, k, v, view):
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs()))
