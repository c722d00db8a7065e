"""Local attention: every query sees the keys of its own block and of a few blocks around it."""

import dataclasses
from dataclasses import dataclass

import torch.nn.functional as F

from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.modules.local import LocalAttention


@dataclass(kw_only=True, slots=True)
class Config:
    window_size: int = 64  # frames of a block
    look_backward: int = 1  # blocks
    look_forward: int | None = None  # blocks; None: 0 when causal, else 1
    dropout: float = 0.0
    shared_qk: bool = False
    exact_windowsize: bool = False
    scale: float | None = None
    use_rotary_pos_emb: bool = True
    use_xpos: bool = False
    xpos_scale_base: float | None = None


class LocalSelfAttention(Mechanism):
    """`LocalAttention` with projections, as a layer; settings as documented there.

    >>> layer = LocalSelfAttention(Config(window_size=16), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    cross = False
    neutral = "rotary", {"window_size": 256, "look_backward": 0, "look_forward": 0}  # up to 256

    def setup(self, config):
        self.attention = LocalAttention(
            causal=self.is_causal, dim=self.dims // self.heads, **dataclasses.asdict(config)
        )

    def combine(self, q, k, v, view):
        T, S, mask = view.T, view.S, view.mask
        skipped = 0
        if T < S:  # a cached step: only the new queries' blocks and the keys that they see
            size = self.attention.window_size
            skipped = max(0, (S - T) // size - self.attention.look_backward) * size
            k, v = k[:, :, skipped:], v[:, :, skipped:]
            q = F.pad(q, (0, 0, k.shape[2] - T, 0))
            if mask is not None and mask.ndim == 3:
                mask = F.pad(mask, (0, 0, S - T, 0))[:, skipped:]  # rows of the padded queries
            mask = None if mask is None else mask[..., skipped:]
        out, weights = self.attention.attend(q, k, v, mask, need_weights=view.explicit)
        if weights is None:
            return AttentionOutput(out[:, :, -T:])
        weights = weights[:, :, -T:]
        if view.edit is not None:
            out, _ = view.read(weights, v)
        return AttentionOutput(out[:, :, -T:], F.pad(weights, (skipped, 0)))
