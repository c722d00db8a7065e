"""A linear estimate of attention weights, by Performer's features and a small decoder, for `sea`.

Shape alphabet: B batch, T query length, S key length, H heads, K head width, W columns.
"""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention.kernels import kernel_attention
from focused_attention.attention.state import KeyValueCache
from focused_attention.attention.view import View

RATIO = 4  # columns of the estimate to one of the decoder's
SPREAD = 2  # maps of a head in the decoder, and steps between the cells that a convolution reads
REACH = 4 * SPREAD  # rows before its own that an estimate depends on


@dataclass
class EstimateCache(KeyValueCache):
    """Keys, values, and the last rows of the decoder's input."""

    rows: Tensor | None = field(default=None, repr=False)  # (B, 2 H, at most REACH, W / 4)

    def reorder(self, index: Tensor) -> None:
        super().reorder(index)
        if self.rows is not None:
            self.rows = self.rows[index]


class Keys(NamedTuple):
    """The keys of a call that are no padding."""

    valid: Tensor  # which these are, (B or 1, S) bool
    ranks: Tensor  # a key's place among them, (B or 1, S)
    counts: Tensor  # how many of them a query may see, (B or 1, T or 1)

    @classmethod
    def of(cls, view: View) -> "Keys":
        valid = torch.ones(1, view.S, dtype=torch.bool, device=view.x.device)
        if view.mask is not None:
            valid = view.mask if view.mask.ndim == 2 else view.mask.any(dim=1)
        upto = valid.cumsum(dim=1)
        counts = upto[:, view.S - view.T :] if view.causal else upto[:, -1:]
        return cls(valid, (upto - 1).clamp(min=0), counts)


class Estimate(nn.Module):
    """The scores of every row in W columns, and its two gates."""

    def __init__(self, heads: int, size: int, width: int):
        super().__init__()
        self.width = width
        self.register_buffer("directions", directions(max(1, int(size * math.log(size))), size))
        self.encode = nn.Sequential(
            nn.Linear(3 * size, 2 * size), nn.LayerNorm(2 * size), nn.GELU()
        )
        self.gates = nn.Linear(2 * size, 2)
        self.decode = nn.Linear(2 * size, SPREAD * width // RATIO)
        self.norms = nn.ModuleList(nn.LayerNorm(columns) for columns in (width // RATIO, width))
        sizes = (SPREAD * heads, 3), (SPREAD * heads, 3), (heads, 1)
        self.convs = nn.ModuleList(nn.Conv2d(SPREAD * heads, *shape) for shape in sizes)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keys: Keys, view: View):
        """Scores (B, H, T, W) and gates (B, H, T, 2)."""
        place = positions(keys.ranks, keys.counts, q.shape[-1], view.causal).to(v.dtype)
        values = torch.cat((place[:, None].expand(*v.shape), v), dim=-1)
        plain = replace(view, need_weights=False, edit=None)
        features = self.features(q, k, keys.valid, view.causal)
        found, _ = kernel_attention(*features, values, plain, 1e-12)
        hidden = self.encode(torch.cat((found, v[:, :, view.S - view.T :]), dim=-1))
        scores = self.decoded(hidden, keys.valid[:, None, view.S - view.T :, None], view)
        return scores, self.gates(hidden).sigmoid()

    def features(self, q: Tensor, k: Tensor, valid: Tensor, causal: bool) -> list[Tensor]:
        """Those of Performer: of exp, or of ReLU, which needs no maximum over later keys."""
        found, scale = [], q.shape[-1] ** -0.25
        for x, hidden in ((q, None), (k, ~valid[:, None, :, None])):
            x = x.to(torch.promote_types(x.dtype, torch.float32)) * scale
            projected = x @ self.directions.to(x.dtype).mT
            if causal:
                found.append(projected.relu() + 1e-3)
                continue
            top = projected.detach()
            if hidden is None:
                top = top.amax(dim=-1, keepdim=True)
            else:
                top = top.masked_fill(hidden, -torch.inf).amax(dim=(-1, -2), keepdim=True)
                top = top.masked_fill(top == -torch.inf, 0.0)
            length = x.square().sum(dim=-1, keepdim=True) / 2
            found.append((projected - length - top).exp() + 1e-4)
        return found

    def decoded(self, hidden: Tensor, valid: Tensor, view: View) -> Tensor:
        """The scores (B, H, T, W) of (B, H, T, 2 K); `valid` (B or 1, 1, T, 1) are its rows."""
        rows = self.decode(hidden).unflatten(-1, (SPREAD, -1)).movedim(3, 2).flatten(1, 2)
        rows = self.norms[0](rows) * valid
        if isinstance(view.state, EstimateCache):
            if view.state.rows is not None:
                rows = torch.cat((view.state.rows, rows), dim=2)
                valid = F.pad(valid, (0, 0, rows.shape[2] - view.T, 0), value=True)
            view.state.rows = rows[:, :, -REACH:]
        above = 2 * SPREAD if view.causal else SPREAD
        for conv in self.convs[:2]:
            rows = F.pad(rows, (SPREAD, SPREAD, above, 2 * SPREAD - above))
            rows = F.conv2d(rows, conv.weight, conv.bias, dilation=SPREAD).relu() * valid
        rows = self.convs[2](rows[:, :, -view.T :])
        columns = torch.arange(self.width, device=rows.device)[None]
        lines = positions(columns, columns[:, -1:] + 1, rows.shape[-1], False)[0]
        return self.norms[1](rows @ lines.mT.to(rows.dtype))


def positions(ranks: Tensor, counts: Tensor, size: int, causal: bool) -> Tensor:
    """Where a key stands, (B or 1, S, size): an identity stretched to the keys; causal, sines."""
    if causal:
        index = torch.arange(size, device=ranks.device)
        angles = ranks[..., None] * 10000.0 ** (-(index // 2 * 2) / size)
        return torch.where(index % 2 == 0, angles.sin(), angles.cos())
    at = ranks / (counts - 1).clamp(min=1) * (size - 1)
    return (1 - (at[..., None] - torch.arange(size, device=ranks.device)).abs()).clamp(min=0)


def directions(count: int, size: int) -> Tensor:
    """Random directions (count, size), at right angles by `size`, as long as normal ones."""
    parts = [torch.linalg.qr(torch.randn(size, size)) for _ in range(-(-count // size))]
    turned = [(q * r.diagonal().sign()).mT for q, r in parts]  # else the first ones look one way
    lengths = torch.randn(count, size).norm(dim=1, keepdim=True)
    return torch.cat(turned)[:count] * lengths
