"""What every attention mechanism shares: the output type, the masks, the cache, the projections.

Shape alphabet: B batch, T query length, S key length, H heads, D model width, K head width.
"""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionOutput(NamedTuple):
    """What a mechanism returns, always: the same three fields whatever was asked."""

    out: Tensor  # (B, T, D)
    weights: Tensor | None  # (B, H, T, S), rows sum to 1 or are all zero; None unless asked for
    losses: dict[str, Tensor]  # auxiliary losses by name, scalars; empty for most mechanisms


@dataclass
class KeyValueCache:
    """Projected keys and values of one attention layer during decoding.

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
        """Keep the batch rows `index` (B',), as beam search does when it drops hypotheses."""
        if self.keys is not None:
            self.keys, self.values = self.keys.mT[index].mT, self.values[index]


def attention_mask(
    mask: Tensor | None, *, causal: bool, T: int, S: int, device: torch.device
) -> Tensor | None:
    """Merge a key mask (B, S) or a pairwise mask (B, T, S) with causality: (B or 1, 1, T, S) bool.

    True means "may attend". The last query is aligned with the last key, so that a cached decoding
    step (T = 1, S = all keys so far) sees every key. Returns None when nothing is masked.

    Raises ValueError for a mask that is not bool or of another shape.
    """
    if mask is not None:
        if mask.dtype != torch.bool:
            raise ValueError(f"mask: expected dtype torch.bool (True = attend), given {mask.dtype}")
        if mask.shape[1:] == (S,):
            mask = mask[:, None, None, :]
        elif mask.shape[1:] == (T, S):
            mask = mask[:, None]
        else:
            raise ValueError(
                f"mask: expected shape (B, {S}) or (B, {T}, {S}), given {tuple(mask.shape)}"
            )
    if causal and T > 1:
        visible = torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)
        mask = visible[None, None] if mask is None else mask & visible
    return mask


def softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """softmax(scale q kᵀ) v with rows that see nothing defined as zero.

    q (B, H, T, K), k and v (B, H, S, K), mask broadcastable to (B, H, T, S) or None.
    Returns (B, H, T, K) and, on request, the weights (B, H, T, S).
    """
    T, K = q.shape[-2:]
    on_cpu = q.device.type == "cpu"
    decodes = on_cpu and T == 1 and not torch.is_grad_enabled()  # there, fused attention is slower
    if need_weights or decodes:
        scores = (q * scale) @ k.mT
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(dim=-1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0.0)  # a row that sees nothing is 0, not NaN
        return weights @ v, weights if need_weights else None
    if K < 12 and T > 32 and on_cpu:  # 16 columns multiply quicker than 6 or 8
        q, k, v = (F.pad(x, (0, 16 - K)) for x in (q, k, v))
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :K], None
    seen = mask.any(dim=-1, keepdim=True)  # (B, 1, T, 1)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask | ~seen, scale=scale)
    return out[..., :K].masked_fill(~seen, 0.0), None


class Mechanism(nn.Module):
    """An attention mechanism as a layer of width D: `forward(x, xa, mask)` -> AttentionOutput.

    Three class attributes say what it can do, and a model that asks for more is refused.
    """

    causal: ClassVar[bool] = True  # can hide the future
    cross: ClassVar[bool] = True  # can attend to another sequence `xa`
    masked: ClassVar[bool] = True  # padding never changes an item's output

    def forward(
        self,
        x: Tensor,  # (B, T, D)
        xa: Tensor | None = None,  # (B, S, D); None: self-attention, S = T
        mask: Tensor | None = None,  # bool, True = attend: keys (B, S) or pairs (B, T, S)
        *,
        cache: KeyValueCache | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        raise NotImplementedError


class Core(nn.Module):
    """A mechanism that only changes how q, k, v are combined; `MultiHeadAttention` does the rest.

    `forward(q, k, v, mask, need_weights)` takes q (B, H, T, K), k and v (B, H, S, K) and the merged
    mask, broadcastable to (B, H, T, S), and returns (B, H, T, K) and the weights or None.
    """

    causal: ClassVar[bool] = True
    cross: ClassVar[bool] = True
    masked: ClassVar[bool] = True

    def position(self, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor]:
        """Encode positions into q and k before they are cached; the first is at `offset`.

        Called in self-attention only: two sequences share no positions.
        """
        return q, k

    def visible(self, T: int, S: int, device: torch.device) -> Tensor | None:
        """Which of S keys each of the last T queries may see in self-attention, (T, S) bool.

        None: all of them. It is merged into the mask that `forward` is given.
        """
        return None

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        raise NotImplementedError


class MultiHeadAttention(Mechanism):
    """Projections, head split and output projection around a `Core`, named as in openai/whisper.

    https://arxiv.org/abs/1706.03762; the key projection has no bias, as in Whisper.
    """

    def __init__(self, core: Core, dims: int, heads: int, *, causal: bool = False):
        super().__init__()
        self.heads = heads
        self.is_causal = causal
        self.query = nn.Linear(dims, dims)
        self.key = nn.Linear(dims, dims, bias=False)
        self.value = nn.Linear(dims, dims)
        self.out = nn.Linear(dims, dims)
        self.core = core

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, K)

    def forward(self, x, xa=None, mask=None, *, cache=None, need_weights=False):
        q = self.split(self.query(x))
        if xa is not None and cache is not None and cache.keys is not None:
            k, v = cache.keys, cache.values
        else:
            source = x if xa is None else xa
            k, v = self.split(self.key(source)), self.split(self.value(source))
            if xa is None:
                q, k = self.core.position(q, k, cache.length if cache is not None else 0)
                if cache is not None:
                    k, v = cache.append(k, v)
            elif cache is not None:
                cache.fill(k, v)
        T, S = q.shape[2], k.shape[2]
        causal = self.is_causal and xa is None
        merged = attention_mask(mask, causal=causal, T=T, S=S, device=x.device)
        visible = self.core.visible(T, S, x.device) if xa is None else None
        if visible is not None:
            merged = visible[None, None] if merged is None else merged & visible
        out, weights = self.core(q, k, v, merged, need_weights)
        out = out.transpose(1, 2).flatten(2)  # (B, T, D)
        return AttentionOutput(self.out(out), weights, {})
