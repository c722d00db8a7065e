"""Linear attention in which a query's length makes its row sharper, as it does in softmax."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput
from focused_attention.attention.kernels import SumState, by_pairs, products, without_padding
from focused_attention.attention.linear._sums import SumAttention
from focused_attention.attention.positions import rotate, rotations
from focused_attention.attention.view import View

EPS = 1e-6  # is added to the mean product of a row


@dataclass(kw_only=True, slots=True)
class Config:
    base: float | None = 10000.0  # of the rotation's wavelengths, in positions; None: do not rotate
    kernel: int = 5  # positions that the convolution of values sees, odd


@dataclass
class NormAwareState(SumState):
    total: Tensor | None = field(default=None, repr=False)  # (B, H, 2 K + 1, 1) of the denominator
    tail: Tensor | None = field(default=None, repr=False)  # (B, H, kernel - 1, K), the last values


class NaLaAttention(SumAttention):
    """φ'(q_i) Σ_j φ'(k_j)ᵀ v_j / (φ(q_i) · Σ_j φ(k_j) + n ε), where φ' is φ rotated (RoPE).

    φ(q) = [relu(q̂)^p, relu(-q̂)^p] with q̂ = q / ‖q‖ and p = 3 (0.5 + tanh ‖q‖): the longer a query,
    the fewer columns count. φ(k) = [relu(k³), relu(-k³)]. A depthwise convolution of the values is
    added, then LN(·) ⊙ SiLU(x W_g). NaLaFormer, https://arxiv.org/abs/2506.21137, as released in
    ZacharyMeng/NaLaFormer `NALA.py`: the paper's first version has a map of cosines and sines.

    Deviation: the source is for images. Here positions and the convolution have one axis, and
    rotations the usual wavelengths. The convolution starts at zero; it is none of the weights, so
    an intervention on these leaves it as it is. Causal use (the convolution looks back) and
    cross-attention (without rotation and convolution) are extensions.

    Cost: B H (T + S) (2 K² + 2 K) multiplications, when causal B H T 64 · 5 K more, and B T D (D +
    kernel); 4 B H T (128 + K² / 32) bytes when causal, else 8 B H K²; decoding, 4 B H (2 K² +
    (kernel + 1) K + 1) bytes.

    >>> layer = NaLaAttention(Config(), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    >>> query_features(torch.tensor([[3.0, -4.0]]))  # p = 4.5: 0.6^p and 0.8^p by sign
    tensor([[0.1004, 0.0000, 0.0000, 0.3664]])
    """

    pairwise = False
    memory = NormAwareState
    neutral = "rows of rotated products over unrotated sums are no softmax at any setting"

    def setup(self, config):
        checks.positive(kernel=config.kernel)
        if not config.kernel % 2:
            raise ValueError(f"kernel: expected an odd number, given {config.kernel!r}")
        self.local = nn.Conv1d(self.dims, self.dims, config.kernel, groups=self.dims)
        nn.init.zeros_(self.local.weight)
        nn.init.zeros_(self.local.bias)
        self.gate = nn.Linear(self.dims, self.dims)
        self.norm = nn.LayerNorm(self.dims)

    def position(self, q, k, offset):
        return q, k  # features are rotated, not what they are made of

    def combine(self, q, k, v, view):
        first = 0 if view.state is None else view.state.length
        q, k = query_features(q), key_features(k)
        with torch.autocast(q.device.type, enabled=False):
            divisor = self.divisor(q, k, view)
        if self.base is not None and not view.cross:
            q, k = (self.turned(x, first) for x in (q, k))
        out, weights = self.attend(q / divisor, k, v, view)
        out = out.transpose(1, 2).flatten(2)
        if not view.cross:
            out = out + self.near(v, view)
        return AttentionOutput(self.split(self.norm(out) * F.silu(self.gate(view.x))), weights)

    def divisor(self, q: Tensor, k: Tensor, view: View) -> Tensor:
        """(B, H, T, 1), of features that are not rotated; ε counts the keys as a feature would."""
        q, k, state = F.pad(q, (0, 1), value=EPS), F.pad(k, (0, 1), value=1.0), view.state
        if k.is_meta:
            sums = q @ state.total
        elif by_pairs(view):
            sums = products(q, k, view).sum(dim=-1, keepdim=True)
        else:
            k, past = without_padding(k, view), None if state is None else state.total
            sums, total = self.summed(q, k, torch.ones_like(k[..., :1]), past, view)
            if state is not None:
                state.total = total
        return sums.clamp(min=EPS / 2)  # of a row that sees nothing

    def turned(self, x: Tensor, first: int) -> Tensor:
        """Both halves of features (B, H, T, 2 K), rotated from position `first` on."""
        halves = x.chunk(2, dim=-1)
        cos, sin = rotations(first, *halves[0].shape[2:], self.base, x.dtype, x.device)
        return torch.cat([rotate(half, cos, sin) for half in halves], dim=-1)

    def near(self, v: Tensor, view: View) -> Tensor:
        """The convolution of values (B, H, T, K), (B, T, D)."""
        v, reach, state = without_padding(v, view), self.config.kernel - 1, view.state
        if state is not None and state.tail is not None:
            v = torch.cat((state.tail, v), dim=2)
        elif view.causal:
            v = F.pad(v, (0, 0, reach, 0))
        else:
            v = F.pad(v, (0, 0, reach // 2, reach // 2))
        if state is not None:
            state.tail = v[:, :, v.shape[2] - reach :].clone()
        return self.local(v.mT.flatten(1, 2)).mT


def query_features(q: Tensor) -> Tensor:
    """(..., K) -> (..., 2 K), in single precision at least."""
    q = q.to(torch.promote_types(q.dtype, torch.float32))
    power = 3 * (0.5 + q.norm(dim=-1, keepdim=True).tanh())
    q = F.normalize(q, dim=-1)
    return torch.cat((q.relu() ** power, (-q).relu() ** power), dim=-1)


def key_features(k: Tensor) -> Tensor:
    """(..., K) -> (..., 2 K), in single precision at least."""
    k = k.to(torch.promote_types(k.dtype, torch.float32)) ** 3
    return torch.cat((k.relu(), (-k).relu()), dim=-1)
