"""A plain Whisper decoder laid out for writing: the same numbers, each weight where it is read.

A decoding step multiplies a vector with every weight once, so its time is that of reading them:
for tiny.en 33 MB of the blocks, 80 MB of the embedding, and 18 MB of keys and values of 30 seconds
(twice that for base). Rows of a matrix of outputs by inputs are read at half the speed of rows of
its transpose. So weights are kept transposed, query, key and value as one, and keys and values with
the positions last; the hypotheses of one beam share their keys and values of the audio.

Shape alphabet: B hypotheses, N utterances, T tokens at once, L tokens so far, S encoder positions,
H heads, K head width, D width, V vocabulary.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.models.skeleton import DecoderOutput, TextDecoder

ROOM = 64  # tokens for which a cache has room at first


@dataclass
class PackedCache:
    """Keys and values (B or N, H, K, L or S) of every layer."""

    own: list[tuple[Tensor, Tensor]] = field(default_factory=list, repr=False)
    heard: list[tuple[Tensor, Tensor]] = field(default_factory=list, repr=False)
    length: int = 0  # tokens so far

    def reorder(self, index: Tensor, *, cross: bool = True) -> None:
        """Keep the hypotheses `index` (B',); where all are copied alike, `heard` stays as it is."""
        N, rows = len(self.heard[0][0]), len(index)
        if cross and not torch.equal(index, torch.arange(N).repeat_interleave(rows // N)):
            self.heard = [(keys[index], values[index]) for keys, values in self.heard]
        self.own = [(keys[index], values[index]) for keys, values in self.own]

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values (B, H, K, T) of a layer after `length`; all so far."""
        B, H, K, T = k.shape
        end = self.length + T
        if layer == len(self.own):
            self.own.append((k.new_empty(B, H, K, 0), v.new_empty(B, H, K, 0)))
        if end > self.own[layer][0].shape[-1]:
            more = max(ROOM, end)
            self.own[layer] = tuple(F.pad(kept, (0, more)) for kept in self.own[layer])
        keys, values = self.own[layer]
        keys[..., self.length : end], values[..., self.length : end] = k, v
        return keys[..., :end], values[..., :end]


@dataclass(frozen=True, slots=True)
class _Linear:
    """x @ weight + bias, with the weight (inputs, outputs) contiguous."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, *layers: nn.Linear) -> "_Linear":
        biases = [x.weight.new_zeros(len(x.weight)) if x.bias is None else x.bias for x in layers]
        weight = torch.cat([layer.weight for layer in layers]).T.contiguous()
        return cls(weight.detach(), torch.cat(biases).detach())

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)  # (rows, outputs)


class _Layer:
    """One block's weights."""

    def __init__(self, block: nn.Module):
        self.norms = [block.attn_ln, block.cross_attn_ln, block.mlp_ln]
        own, heard = block.attn, block.cross_attn
        self.qkv = _Linear.of(own.query, own.key, own.value)
        self.out = _Linear.of(own.out)
        self.query = _Linear.of(heard.query)
        self.key_value = _Linear.of(heard.key, heard.value)
        self.heard_out = _Linear.of(heard.out)
        self.up, self.down = _Linear.of(block.mlp[0]), _Linear.of(block.mlp[2])


class PackedDecoder:
    """Writes what `decoder` would, for plain softmax attention of `heads` heads and no padding.

    It is called as a `TextDecoder` in inference; what is changed in `decoder` later, it does not
    see. It gives the logits of the last position alone, (B, 1, V).
    """

    def __init__(self, decoder: TextDecoder, heads: int):
        self.decoder, self.heads = decoder, heads
        self.layers = [_Layer(block) for block in decoder.blocks]
        self.positional_embedding = decoder.positional_embedding
        self.output = decoder.token_embedding.weight.detach().T.contiguous()  # (D, V)

    def new_cache(self) -> PackedCache:
        return PackedCache()

    def __call__(
        self, tokens: Tensor, audio: Tensor, mask: None = None, *, cache: PackedCache
    ) -> DecoderOutput:
        """tokens (B, T) that follow those in the cache, audio (N, S, D).

        Raises ValueError for a mask, or more tokens than there are positions for.
        """
        B, T = tokens.shape
        end = cache.length + T
        if mask is not None:
            raise ValueError("mask: expected None, for padding is not hidden here")
        if end > len(self.positional_embedding):
            n_ctx = len(self.positional_embedding)
            raise ValueError(f"tokens: expected at most n_text_ctx = {n_ctx}, given {end}")
        if not cache.heard:
            cache.heard = [self._heard(layer, audio) for layer in self.layers]
        x = self.decoder.token_embedding(tokens) + self.positional_embedding[cache.length : end]
        x = x.flatten(0, 1)  # (B T, D)
        for i, layer in enumerate(self.layers):
            own_norm, heard_norm, mlp_norm = layer.norms
            q, k, v = (self._split(part, T) for part in layer.qkv(own_norm(x)).chunk(3, dim=-1))
            keys, values = cache.append(i, k.mT, v.mT)
            x = x + layer.out(self._join(attend(q, keys, values, causal=T > 1)))
            q = self._split(layer.query(heard_norm(x)), T)  # (B, H, T, K)
            x = x + layer.heard_out(self._join(self._cross(q, *cache.heard[i])))
            x = x + layer.down(F.gelu(layer.up(mlp_norm(x))))
        cache.length = end
        last = self.decoder.ln(x.view(B, T, -1)[:, -1])  # (B, D)
        logits = last @ self.output if B == 1 else self.decoder.logits(last)
        return DecoderOutput(logits[:, None], None, {}, None)

    def _split(self, x: Tensor, T: int) -> Tensor:
        return x.unflatten(0, (-1, T)).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _join(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2).flatten(0, 1)  # (B, H, T, K) -> (B T, D)

    def _heard(self, layer: _Layer, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the audio, (N, H, K, S)."""
        N, S, _ = audio.shape
        both = layer.key_value(audio.flatten(0, 1)).view(N, S, 2, self.heads, -1)
        keys, values = both.permute(2, 0, 3, 4, 1).contiguous()
        return keys, values

    def _cross(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """The hypotheses of an utterance ask its keys together: q (B, H, T, K)."""
        B, H, T, K = q.shape
        N = len(keys)
        together = q.view(N, B // N, H, T, K).transpose(1, 2).reshape(N, H, -1, K)
        out = attend(together, keys, values, causal=False)  # (N, H, B / N T, K)
        return out.view(N, H, B // N, T, K).transpose(1, 2).reshape(B, H, T, K)


def attend(q: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    """Softmax attention of q (B, H, T, K) on keys and values (B, H, K, S): (B, H, T, K)."""
    scores = (q * q.shape[-1] ** -0.5) @ keys  # (B, H, T, S)
    if causal:
        T, S = scores.shape[-2:]
        future = torch.ones(T, S, dtype=torch.bool, device=q.device).triu(S - T + 1)
        scores = scores.masked_fill(future, -torch.inf)
    return (values @ scores.softmax(dim=-1).mT).mT
