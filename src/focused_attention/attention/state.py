"""What an attention layer keeps while a text is written, so that a step costs one position.

Shape alphabet: B batch, T query length, S key length, H heads, K head width.
"""

from dataclasses import dataclass, field

from torch import Tensor


class State:
    """A layer's decoding state, which a mechanism makes itself (`Mechanism.new_state`).

    Common to all are its length and that rows of the batch can be chosen.
    """

    length: int = 0  # positions that it has seen

    def reorder(self, index: Tensor) -> None:
        """Keep the batch rows `index` (B',), as beam search does when it drops hypotheses."""
        raise NotImplementedError(f"{type(self).__name__} cannot choose rows of its batch")


@dataclass
class KeyValueCache(State):
    """Projected keys and values of one layer.

    Self-attention appends in place to buffers that grow by doubling; cross-attention projects the
    encoder output once and keeps it. Keys lie transposed in memory, which is how the product with a
    single query reads them fastest.
    """

    keys: Tensor | None = field(default=None, repr=False)  # (B, H, capacity, K)
    values: Tensor | None = field(default=None, repr=False)
    length: int = 0  # keys that are valid

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append (B, H, T, K) keys and values; return all valid ones, (B, H, length, K)."""
        B, H, T, K = k.shape
        end = self.length + T
        if self.keys is None or end > self.keys.shape[2]:
            capacity = max(64, 2 * end)
            keys, values = k.new_empty(B, H, K, capacity).mT, v.new_empty(B, H, capacity, K)
            if self.keys is not None:
                keys[:, :, : self.length] = self.keys[:, :, : self.length]
                values[:, :, : self.length] = self.values[:, :, : self.length]
            self.keys, self.values = keys, values
        self.keys[:, :, self.length : end] = k
        self.values[:, :, self.length : end] = v
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def fill(self, k: Tensor, v: Tensor) -> None:
        """Keep (B, H, S, K) keys and values that every later step reads."""
        self.keys, self.values = k.mT.contiguous().mT, v.contiguous()
        self.length = k.shape[2]

    def reorder(self, index: Tensor) -> None:
        if self.keys is not None:
            self.keys, self.values = self.keys.mT[index].mT, self.values[index]
