"""What a mechanism is told besides queries, keys and values: who may see whom, and where it stands.

Shape alphabet: B batch, T query length, S key length, H heads, D model width.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention.state import State

Edit = Callable[[Tensor], Tensor]  # of rows of weights (B, H, T, S), into rows of the same shape


@dataclass(frozen=True, slots=True)
class View:
    """One call of a layer, as its mechanism sees it."""

    x: Tensor  # (B, T, D), the layer's input
    T: int  # queries; the last one is aligned with the last key
    S: int  # keys, those of the state included
    mask: Tensor | None = None  # as given: bool, True = attend, keys (B, S) or pairs (B, T, S)
    causal: bool = False  # the future is hidden
    cross: bool = False  # the keys are another sequence's
    layer: int = 0  # this layer's place among `depth` of its stack, from 0
    depth: int = 1
    state: State | None = None  # of decoding, with this call's positions already in its length
    need_weights: bool = False
    edit: Edit | None = None  # what is done to rows of weights before they meet the values

    @property
    def explicit(self) -> bool:
        """Whether the weights must be computed one by one."""
        return self.need_weights or self.edit is not None

    def pairs(self, within: int | None = None) -> Tensor | None:
        """Who may see whom, (B or 1, 1, T, S) bool, True = attend; None where all see all.

        `within` hides what is farther from a query than so many positions, in self-attention.
        """
        merged = attention_mask(
            self.mask, causal=self.causal, T=self.T, S=self.S, device=self.x.device
        )
        if within is None or within >= self.S - 1 or self.cross:
            return merged
        keys = torch.arange(self.S, device=self.x.device)
        near = (keys[self.S - self.T :, None] - keys).abs() <= within
        return near[None, None] if merged is None else merged & near

    def counts(self) -> Tensor:
        """The number of keys that each query may see, (B or 1, 1, T or 1, 1)."""
        merged = self.pairs()
        if merged is None:
            return torch.full((1, 1, 1, 1), self.S, device=self.x.device)
        return merged.sum(dim=-1, keepdim=True)

    def read(self, weights: Tensor, v: Tensor) -> tuple[Tensor, Tensor | None]:
        """The values (B, H, S, K) under the weights (B, H, T, S), and these if they are asked for.

        Every mechanism that has rows of weights reads through it, so that what is done to them
        while a trained model runs is done to all.
        """
        if self.edit is not None:
            weights = self.edit(weights)
        return weights @ v, weights if self.need_weights else None


def attention_mask(
    mask: Tensor | None, *, causal: bool, T: int, S: int, device: torch.device
) -> Tensor | None:
    """Merge a key mask (B, S) or a pairwise mask (B, T, S) with causality: (B or 1, 1, T, S) bool.

    True means "may attend". The last query is aligned with the last key, so that a cached decoding
    step (T = 1, S = all keys so far) sees every key. Returns None when nothing is masked.
    """
    if mask is not None:
        mask = mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]
    if causal and T > 1:
        visible = torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)
        mask = visible[None, None] if mask is None else mask & visible
    return mask
