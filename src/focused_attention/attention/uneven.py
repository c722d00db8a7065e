"""A decoding state for keys of another width than values: wider by a gate, say, or narrower."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from focused_attention.attention.state import KeyValueCache


@dataclass
class UnevenCache(KeyValueCache):
    """Keys and values are kept as wide as the wider of them, and returned as they were given."""

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        widths = k.shape[-1], v.shape[-1]
        k, v = (F.pad(x, (0, max(widths) - x.shape[-1])) for x in (k, v))
        return tuple(x[..., :n] for x, n in zip(super().append(k, v), widths, strict=True))
