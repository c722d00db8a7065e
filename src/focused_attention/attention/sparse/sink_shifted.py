"""Softmax attention inside shifted groups, and to first positions that all see."""

from dataclasses import dataclass

import torch

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, softmax_attention
from focused_attention.attention.sparse.shifted import ShiftedAttention, parted


@dataclass(kw_only=True, slots=True)
class Config:
    group: int = 375  # positions of a group: a quarter of Whisper's 1500 frames
    sinks: int = 4  # first positions that see all and that all see
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class SinkShiftedAttention(ShiftedAttention):
    """Groups as in `shifted`, none of which joins both ends, and global first positions.

    SF-Attn of SinkLoRA, https://arxiv.org/abs/2406.05678: what the shift of half of the heads
    carries round the end is returned to its place, where it makes a group of half the size, and
    the first 4 positions, the sinks of attention, see all keys and are seen by all queries.

    Deviation: reconstructed from the paper's summary, as the released code has S²-Attn alone; that
    "proportionally returned" means what was carried round is our reading. Groups are those of
    `shifted`. H₂O, which drops keys while a text is written, is left out.

    Cost: 2 B T (g + sinks) D multiplications, and 2 B sinks T D of the sinks' own rows.

    >>> layer = SinkShiftedAttention(Config(group=4, sinks=1), dims=8, heads=2)
    >>> weights = layer(torch.randn(1, 12, 8), need_weights=True).weights
    >>> [weights[0, h, 5].nonzero().flatten().tolist() for h in (0, 1)]
    [[0, 4, 5, 6, 7], [0, 2, 3, 4, 5]]
    """

    def setup(self, config):
        super().setup(config)
        checks.not_negative(sinks=config.sinks)
        self.sinks = config.sinks

    def combine(self, q, k, v, view):
        output = super().combine(q, k, v, view)
        if view.causal or not (self.sinks and self.in_groups(view)):
            return output
        mask = None if view.mask is None else view.mask[:, None, None]
        first, _ = softmax_attention(q[:, :, : self.sinks], k, v, view, mask)
        return AttentionOutput(torch.cat((first, output.out[:, :, self.sinks :]), dim=2))

    def slots(self, shift, view):
        keys = torch.arange(view.S, device=view.x.device)
        return parted(keys, shift, self.config.group)

    def seen(self, own, view):
        keys = torch.arange(view.S, device=own.device)
        sinks = keys < self.sinks
        return super().seen(own | sinks | sinks[view.S - view.T :, None], view)
