"""Plain multi-head softmax attention, as in Whisper."""

from dataclasses import dataclass

from focused_attention.attention.base import Core, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    pass


class WhisperAttention(Core):
    """softmax(q kᵀ / √K) v: the baseline of every comparison.

    https://arxiv.org/abs/1706.03762, as in openai/whisper `model.py`. Deviation: masks are honoured
    and a row that sees nothing is zero.
    """

    def __init__(self, config: Config, head_dims: int):
        super().__init__()
        self.scale = head_dims**-0.5

    def forward(self, q, k, v, mask, need_weights):
        return softmax_attention(q, k, v, mask, self.scale, need_weights)
