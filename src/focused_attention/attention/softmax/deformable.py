"""Attention to a few points between the frames, which the query places itself."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    points: int = 4  # of a query and head


class DeformableAttention(Mechanism):
    """o = Σ_p a_p v(r + Δ_p): p points of offsets Δ and weights a around a reference r.

    Reconstructed from Deformable DETR, https://arxiv.org/abs/2010.04159, which S2LIC,
    https://arxiv.org/abs/2403.14471, uses between slices of an image; here in one dimension. Both
    Δ = W_Δ x and a = softmax(W_a x) follow the query's input alone, in frames, and v(·) is linear
    between two frames. There are no keys to compare with. Points begin 1, 2, ... frames behind the
    reference in one half of the heads and ahead in the other, weighing nearly the same: W_a is
    drawn N(0, 0.02), where DETR has zeros.

    A layer that adopts plain attention takes its values and output alone.

    A point outside of the sequence, or a hidden frame, gives nothing, so a row of weights may sum
    to less than one. The reference is the query's own position and, between two sequences, a share
    σ(w · x) of the way from the first frame that is seen to the last, as DETR's decoder has it.

    Cost: with P points, 2 B T D (H P + P) multiplications, whatever S is; 8 B T D P bytes where
    gradients are kept (float32).

    >>> layer = DeformableAttention(Config(), dims=32, heads=4)
    >>> weights = layer(torch.randn(1, 9, 32), need_weights=True).weights
    >>> weights[0, 0, 6].nonzero().flatten(), weights[0, 1, 6].nonzero().flatten()
    (tensor([2, 3, 4, 5]), tensor([7, 8]))
    """

    causal = False
    normalised = False
    neutral = "a handful of points cannot be all keys, and no score is made of a key"

    def setup(self, config):
        checks.positive(points=config.points)
        P, H = config.points, self.heads
        self.query = nn.Linear(self.dims, H * P)  # logits of a
        self.key = nn.Identity()
        self.offsets = nn.Linear(self.dims, H * P)  # Δ
        self.reference = nn.Linear(self.dims, 1)  # of cross-attention
        nn.init.normal_(self.query.weight, std=0.02)
        nn.init.zeros_(self.query.bias)
        nn.init.zeros_(self.offsets.weight)
        side = torch.tensor([-1.0, 1.0]).repeat(H)[:H]
        self.offsets.bias.data = (side[:, None] * torch.arange(1, P + 1)).flatten()

    def combine(self, q, k, v, view):
        columns, weights = self.columns(q, view)
        B, H, T, n = columns.shape
        if view.explicit:
            rows = weights.new_zeros(B, H, T, view.S).scatter_add(-1, columns, weights)
            return AttentionOutput(*view.read(rows.to(v.dtype), v))
        found = v.take_along_dim(columns.flatten(2)[..., None], dim=2).view(B, H, T, n, -1)
        return AttentionOutput((weights[..., None, :].to(v.dtype) @ found)[..., 0, :])

    def placed(self, weights):
        if "offsets.weight" in weights:
            return weights
        return {name: of for name, of in weights.items() if not name.startswith(("query.", "key."))}

    def columns(self, q: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """The two frames around every point and their weights, (B, H, T, 2P) both."""
        seen, S = view.pairs(), view.S
        weights = q.to(torch.promote_types(q.dtype, torch.float32)).softmax(dim=-1)
        place = self.split(self.offsets(view.x)).to(weights) + self.around(view, seen).to(weights)
        place = place.clamp(-1, S)  # what is farther out gives nothing either
        low = place.floor()
        part = place - low
        weights = torch.cat((weights * (1 - part), weights * part), dim=-1)
        columns = torch.cat((low, low + 1), dim=-1).long()
        exists = (columns >= 0) & (columns < S)
        columns = columns.clamp(0, S - 1)
        if seen is not None:
            exists = exists & seen.expand(*columns.shape[:3], S).gather(-1, columns)
        return columns, weights * exists

    def around(self, view: View, seen: Tensor | None) -> Tensor:
        """The reference r of every query, (B or 1, 1, T, 1), in frames."""
        if not view.cross:
            return torch.arange(view.S - view.T, view.S, device=view.x.device)[:, None]
        share = self.reference(view.x)[:, None].float().sigmoid()  # (B, 1, T, 1)
        if seen is None:
            return share * (view.S - 1)
        first = seen.int().argmax(dim=-1, keepdim=True)  # (B or 1, 1, T or 1, 1)
        last = view.S - 1 - seen.flip(-1).int().argmax(dim=-1, keepdim=True)
        return first + share * (last - first)
