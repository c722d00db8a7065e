"""Softmax attention inside groups of neighbours, which half of the heads cut half a group later."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    group: int = 375  # positions of a group: a quarter of Whisper's 1500 frames
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class ShiftedAttention(Mechanism):
    """softmax attention to the keys of the own group of g positions: S²-Attn of LongLoRA.

    Heads H/2 and later have the sequence rolled by -g/2 before it is cut, and rolled back after, so
    that their groups bridge those of the others; the last of them joins the end of the sequence to
    its beginning. https://arxiv.org/abs/2309.12307, as in SinkLoRA's `llama_attn_replace.py`.

    Deviation: g is a number, where the code has a quarter of the length: a share would change with
    padding and while a text is written. The last group may be shorter, and an item is rolled at its
    own end. Causal, the group that joins both ends is parted, since in the code, by intent (issue
    15 of LongLoRA), its first positions see the last ones. An odd g is rolled back as far as it was
    rolled. Both directions are an extension. LongLoRA trains with it and then reads with all keys.

    Cost: 2 B T g D multiplications; no rows of weights are kept.

    >>> layer = ShiftedAttention(Config(group=4), dims=8, heads=2)
    >>> weights = layer(torch.randn(1, 12, 8), need_weights=True).weights
    >>> [weights[0, h, 1].nonzero().flatten().tolist() for h in (0, 1)]
    [[0, 1, 2, 3], [0, 1, 10, 11]]
    """

    cross = False
    sinks: int = 0  # first positions that all see and that see all
    neutral = "whisper", {"group": 10**9}

    def setup(self, config):
        checks.positive(group=config.group)

    def combine(self, q, k, v, view):
        group, half = self.config.group, self.heads // 2
        slots = torch.stack([self.slots(shift, view) for shift in (0, group // 2)], dim=1)
        if not self.in_groups(view):
            heads = torch.tensor([half, self.heads - half], device=q.device)
            own = (slots // group).repeat_interleave(heads, dim=1)  # (B or 1, H, S)
            seen = own[..., view.S - view.T :, None] == own[:, :, None]
            return AttentionOutput(*softmax_attention(q, k, v, view, self.seen(seen, view)))
        parts = [slice(0, half), slice(half, self.heads)]
        out = [
            grouped(q[:, part], k[:, part], v[:, part], view, slots[:, i], group, self.sinks)
            for i, part in enumerate(parts)
            if part.start < part.stop
        ]
        return AttentionOutput(torch.cat(out, dim=1))

    def in_groups(self, view: View) -> bool:
        """Whether groups can be attended to one by one, without all pairs."""
        by_pairs = view.mask is not None and view.mask.ndim == 3
        return not (view.explicit or by_pairs) and self.config.group < view.S == view.T

    def slots(self, shift: int, view: View) -> Tensor:
        """Where every key stands after the roll, (B or 1, S); slot // group is its group."""
        keys = torch.arange(view.S, device=view.x.device)
        if view.causal:
            return parted(keys, shift, self.config.group)
        end = view.S
        if view.mask is not None:
            mask = view.mask if view.mask.ndim == 2 else view.mask.any(dim=1)
            end = (mask * (keys + 1)).amax(dim=1, keepdim=True).clamp(min=1)  # (B or 1, 1)
        return torch.where(keys < end, (keys - shift) % end, keys).view(-1, view.S)

    def seen(self, own: Tensor, view: View) -> Tensor:
        """Who sees whom, of pairs of one group (B or 1, H, T, S)."""
        pairs = view.pairs()
        return own if pairs is None else own & pairs


def parted(keys: Tensor, shift: int, group: int) -> Tensor:
    """The slots of a shift that leaves half a group at either end, (1, S)."""
    return keys[None] + (group - shift if shift else 0)


def grouped(
    q: Tensor, k: Tensor, v: Tensor, view: View, slots: Tensor, group: int, sinks: int
) -> Tensor:
    """softmax(q kᵀ / √K) v among the slots (B or 1, T) of a group and the first positions.

    q, k and v (B, H, T, K), a key mask only. The first positions are not made to see all.
    """
    B, _, T, _ = q.shape
    n = int(slots.max()) // group + 1
    keys = torch.arange(T, device=q.device)
    places = slots.new_full((len(slots), n * group), -1)
    places = places.scatter(1, slots, keys.expand_as(slots))  # the key of every slot, or -1
    index = places.clamp(min=0)
    alive = places >= sinks
    if view.mask is not None:
        alive = alive & pick(view.mask, index, 1)
    places, alive = (x.unflatten(1, (n, group)) for x in (places, alive))
    queries = places[..., None]  # (B or 1, n, g, 1)
    seen = alive[:, :, None]
    if view.causal:
        seen = seen & (places[:, :, None] <= queries)
    q, keys, values = (
        pick(x, index, 2).unflatten(2, (n, group)).transpose(1, 2).flatten(0, 1) for x in (q, k, v)
    )
    if sinks:
        first = torch.ones(1, 1, 1, min(sinks, T), dtype=torch.bool, device=q.device)
        if view.mask is not None:
            first = view.mask[:, None, None, :sinks]
        if view.causal:
            first = first & (torch.arange(first.shape[-1], device=q.device) <= queries)
        shape = torch.broadcast_shapes(first.shape[:-1], seen.shape[:-1])
        seen = torch.cat((first.expand(*shape, -1), seen.expand(*shape, -1)), dim=-1)
        keys, values = (
            torch.cat((x[:, :, :sinks].repeat_interleave(n, dim=0), part), dim=2)
            for x, part in ((k, keys), (v, values))
        )
    seen = None if bool(seen.all()) else seen.expand(B, -1, -1, -1).flatten(0, 1)[:, None]
    plain = replace(view, need_weights=False, edit=None)
    out, _ = softmax_attention(q, keys, values, plain, seen)
    return pick(out.unflatten(0, (B, n)).transpose(1, 2).flatten(2, 3), slots, 2)


def pick(x: Tensor, index: Tensor, dim: int) -> Tensor:
    """The elements `index` (B or 1, n) of axis `dim` of x, an index of every item or one for all.

    x is (B, S) or (B, H, S, K).
    """
    if len(index) == 1:
        return x.index_select(dim, index[0])
    return x.gather(1, index) if x.ndim == 2 else x.take_along_dim(index[:, None, :, None], dim=2)
