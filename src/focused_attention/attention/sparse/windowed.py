"""Self-attention to what is near, with the positions told in one of three ways."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.view import View
from focused_attention.attention.windows import distances, visible, window_attention

POSITIONS = ("rotary", "alibi", "none")


@dataclass(kw_only=True, slots=True)
class Config:
    window: int | None = None  # keys that are seen either side of a query's own; None: all
    positions: str = "rotary"  # one of POSITIONS
    base: float = 10000.0  # of `rotary`: of the rotation's wavelengths, in positions


class WindowedAttention(Mechanism):
    """Softmax attention to the keys at most `window` positions away, in time that grows with T.

    Positions: `rotary`, https://arxiv.org/abs/2104.09864; `alibi`, which adds -m |i - j| to the
    scores with a slope m of every head, https://arxiv.org/abs/2108.12409; or `none`, so that the
    window alone tells near from far. Unlike `local`, whose blocks are those of its source, the
    window moves with the query, and a window that holds all keys computes what there is without.

    Deviation: ALiBi is published for causal attention; that a distance ahead counts as one back is
    an extension for encoders.

    >>> layer = WindowedAttention(Config(window=8, positions="alibi"), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    cross = False
    neutral = "rotary", {}

    def setup(self, config):
        checks.positive(window=config.window)
        checks.choice("positions", config.positions, POSITIONS)
        if config.positions != "rotary":
            self.base = None
        linear = torch.tensor(slopes(self.heads)) if config.positions == "alibi" else None
        self.register_buffer("slopes", linear, persistent=False)  # (H,)

    def combine(self, q, k, v, view):
        window = self.config.window
        if not (window is None or view.explicit or view.T != view.S):
            size = max(16, -(-window // 8) * 8)  # multiples of 8 fill the vector registers
            after = 0 if view.causal else 1
            if (2 + after) * size < view.T:
                return AttentionOutput(self.blocks(q, k, v, view, size, after))
        seen = view.pairs(within=window)
        if self.slopes is None:
            return AttentionOutput(*softmax_attention(q, k, v, view, seen))
        keys = torch.arange(view.S, device=q.device)
        bias = self.bias(keys[view.S - view.T :, None] - keys, q)
        return AttentionOutput(*biased_attention(q, k, v, view, seen, bias))

    def blocks(self, q: Tensor, k: Tensor, v: Tensor, view: View, size: int, after: int) -> Tensor:
        """The same inside blocks, (B, H, T, K)."""
        distance = distances(size, 1, after, q.device)  # (w, W)
        seen = visible(view.mask, view.T, size, 1, after, q.device)
        seen = seen & (distance.abs() <= self.config.window)
        if view.causal:
            seen = seen & (distance >= 0)
        bias = None if self.slopes is None else self.bias(distance, q)[:, None]  # (H, 1, w, W)
        q = q * q.shape[-1] ** -0.5
        return window_attention(q, k, v, bias, seen, size=size, before=1, after=after)[0]

    def bias(self, distance: Tensor, like: Tensor) -> Tensor:
        """What ALiBi adds to scores at a distance, (H, ...): heated as queries are."""
        linear = self.slopes if self.heat is None else self.slopes / self.heat.to(self.slopes)
        return (-linear[:, None, None] * distance.abs()).to(like.dtype)


def biased_attention(
    q: Tensor, k: Tensor, v: Tensor, view: View, mask: Tensor | None, bias: Tensor
) -> tuple[Tensor, Tensor | None]:
    """`softmax_attention` with a bias (H, T, S) that is added to the scores."""
    scale, bias, seen = q.shape[-1] ** -0.5, bias[None], None
    if mask is not None:
        seen = mask.any(dim=-1, keepdim=True)  # (B or 1, 1, T, 1)
        bias = bias.masked_fill(~mask & seen, -torch.inf)  # (B or 1, H, T, S)
    if view.explicit:
        weights = ((q * scale) @ k.mT + bias).softmax(dim=-1)
        return view.read(weights if seen is None else weights.masked_fill(~seen, 0.0), v)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return out if seen is None else out.masked_fill(~seen, 0.0), None


def slopes(heads: int) -> list[float]:
    """ALiBi's slope of every head: 2^(-8 h / H), h = 1..H.

    Where H is no power of two, that of the next lower one and then every other slope of the next
    higher one, as in the authors' code.

    >>> slopes(2), slopes(3)
    ([0.0625, 0.00390625], [0.0625, 0.00390625, 0.25])
    """
    lower = 2 ** math.floor(math.log2(heads))
    own = [2 ** (-8 * h / lower) for h in range(1, lower + 1)]
    return own + [2 ** (-4 * h / lower) for h in range(1, 2 * (heads - lower), 2)]
