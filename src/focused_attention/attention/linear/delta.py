"""Linear attention whose memory is corrected by what it gets wrong, not only added to."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput
from focused_attention.attention.linear._sums import SumAttention
from focused_attention.attention.windows import blocks

CHUNK = 32  # keys whose overlaps are solved at once


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class DeltaAttention(SumAttention):
    """S_t = S_{t-1} (I - β_t k_t k_tᵀ) + β_t v_t k_tᵀ, read by o_t = S_t q_t / √K.

    DeltaNet, https://arxiv.org/abs/2406.06484, as in fla-org/flash-linear-attention `delta_net.py`:
    q, k and v go through SiLU, q and k then have length 1, β = σ(w_h · x) of every head, and each
    head's output goes through one RMSNorm. What a key already recalls is subtracted before it is
    written, so that the same key again replaces, where linear attention adds up. The weights are
    A = tril(q kᵀ) (I + tril(β k kᵀ, -1))⁻¹ β: of a key, what later ones left of it.

    Deviation: the short convolutions that the source puts before SiLU are left out (its
    `use_short_conv=False`). Without causality, the memory read from the left and that from the
    right are added, each with the query's own position: an extension. So is `base`, with which q
    and k of length 1 are rotated. A hidden key is not written.

    Cost: with chunks of 32, B H T (3 K² + 128 K + 512) multiplications, twice that without
    causality, and B T D H for β; 4 B H T (96 + K² / 32) bytes; decoding, 4 B H K² bytes.

    >>> layer = DeltaAttention(Config(), dims=32, heads=4, causal=True)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    >>> k, beta, v = torch.ones(1, 1, 3, 1), torch.ones(1, 1, 3, 1), torch.tensor([1.0, 5.0, 2.0])
    >>> written(k, torch.cat((k, beta), dim=-1), v.view(1, 1, 3, 1), None)[1]  # the last stays
    tensor([[[[2.]]]])
    """

    cross = False  # the order of writing is that of the queries
    tempered = False  # queries have length 1
    pairwise = False
    neutral = "a memory that forgets what is overwritten is no softmax at any setting"

    def setup(self, config):
        self.beta = nn.Linear(self.dims, self.heads, bias=False)
        self.norm = nn.RMSNorm(self.dims // self.heads, eps=1e-5)

    def position(self, q, k, offset):
        return super().position(unit(F.silu(q)), unit(F.silu(k)), offset)

    def combine(self, q, k, v, view):
        beta = self.split(self.beta(view.x)).sigmoid()  # (B, H, T, 1)
        k = torch.cat((k, beta.to(k.dtype)), dim=-1)
        out, weights = self.attend(q * q.shape[-1] ** -0.5, k, F.silu(v), view)
        return AttentionOutput(self.norm(out), weights)

    def rows(self, q, k, view):
        weights = left_of(q, k)
        if not view.causal:
            weights = weights + left_of(q.flip(2), k.flip(2)).flip(2, 3)
        return weights

    def summed(self, q, k, v, past, view):
        if view.causal:
            return written(q, k, v, past)
        back, ahead = written(q, k, v, None)[0], written(q.flip(2), k.flip(2), v.flip(2), None)[0]
        return back + ahead.flip(2), None


def unit(x: Tensor) -> Tensor:
    """x at length 1, in single precision at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x * (x.square().sum(dim=-1, keepdim=True) + 1e-6).rsqrt()


def left_of(q: Tensor, k: Tensor) -> Tensor:
    """Weights (B, H, T, S) of causal queries (B, H, T, K) on keys with their β (B, H, S, K + 1).

    In double precision: what is left of a key is a small difference.
    """
    k = k.double()
    scores = (q.double() @ k[..., :-1].mT).tril(k.shape[2] - q.shape[2])
    return (scores @ corrections(k)).to(q.dtype)


def written(q: Tensor, k: Tensor, v: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
    """What causal queries read, (B, H, T, K), and the memory Sᵀ (B, H, K, K) in the end.

    k holds β in its last column. The memory is carried from chunk to chunk; what the keys of a
    chunk write follows from what it recalls wrongly of all their values.
    """
    T = q.shape[2]
    q, k, v = (blocks(x, min(CHUNK, T)) for x in (q, k, v))  # (B, H, n, C, ·)
    write, k = corrections(k), k[..., :-1]
    near = (q @ k.mT).tril()
    memory = k.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1]) if past is None else past
    # Unbound at once: of slices, the gradients would take time that grows with T².
    chunks = zip(*(x.unbind(2) for x in (q, k, v, near, write)), strict=True)
    out = []
    for query, key, value, reach, correction in chunks:
        new = correction @ (value - key @ memory)
        out.append(query @ memory + reach @ new)
        memory = memory + key.mT @ new
    return torch.cat(out, dim=2)[:, :, :T], memory


def corrections(k: Tensor) -> Tensor:
    """(I + tril(β k kᵀ, -1))⁻¹ β of keys with their β, (..., C, K + 1) -> (..., C, C)."""
    k, beta = k[..., :-1], k[..., -1:]
    overlap = (beta * k @ k.mT).tril(-1)
    return torch.linalg.solve_triangular(
        overlap, torch.diag_embed(beta[..., 0]), upper=False, unitriangular=True
    )
