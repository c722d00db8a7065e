"""The settings of a layer that has a memory, and what it keeps while it decodes.

Shape alphabet: B batch, T query length, S key length, H heads, K head width, P weights of a memory,
L logits.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from focused_attention.attention.state import State


@dataclass(kw_only=True, slots=True)
class MemoryConfig:
    window: int = 64  # keys that are seen either side of a query's own, in self-attention
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not
    chunk: int = 16  # positions that are written at once
    expansion: int = 4  # hidden units of the memory, in head widths
    rate: float = 0.1  # bound of θ, the size of a step, which starts near half of it
    forget: float = 0.01  # near which α starts
    gain: float = 0.0  # of the gate at the start; 0: the output of attention as it is
    alone: bool = False  # the memory without attention, and so without rows of weights


@dataclass
class MemoryState(State):
    """What a layer keeps of the keys so far: the window's, and the memory; as large at any length.

    Cross-attention keeps all keys of the other sequence, and what it has written of them.
    """

    keys: Tensor | None = field(default=None, repr=False)  # (B, H, window or S, K)
    values: Tensor | None = field(default=None, repr=False)
    seen: Tensor | None = field(default=None, repr=False)  # (B, window): which exist and are seen
    memory: Tensor | None = field(default=None, repr=False)  # (B, H, 3, P): A, S and, of the open
    told: Tensor | None = field(default=None, repr=False)  # chunk, gradients; (B, H, 1 + L): sums
    length: int = 0

    def reorder(self, index: Tensor) -> None:
        for name, value in list(vars(self).items()):
            if torch.is_tensor(value):
                setattr(self, name, value[index])

    def slide(
        self, k: Tensor, v: Tensor, mask: Tensor | None, window: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and which are seen, (B, window + T): the window's and the call's."""
        B, H, T, K = k.shape
        if self.keys is None:
            self.keys = self.values = k.new_zeros(B, H, window, K)
            self.seen = torch.zeros(B, window, dtype=torch.bool, device=k.device)
        mask = torch.ones(B, T, dtype=torch.bool, device=k.device) if mask is None else mask
        k, v = torch.cat((self.keys, k), dim=2), torch.cat((self.values, v), dim=2)
        seen = torch.cat((self.seen, mask.expand(B, T)), dim=1)
        self.keys, self.values = k[:, :, T:].clone(), v[:, :, T:].clone()
        self.seen = seen[:, T:].clone()
        return k, v, seen
