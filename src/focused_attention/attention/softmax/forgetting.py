"""Softmax attention that forgets: gates between positions lower the scores across them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.state import State
from focused_attention.attention.uneven import UnevenCache
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    start: float = 0.0  # b at the start: at 0 a position halves what lies before it, at 5 takes 1%
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class ForgettingAttention(Mechanism):
    """softmax(q_i · k_j / √K + c_i − c_j) v, c_i = Σ_{t ≤ i} log f_t, f_t = σ(w_h · x_t + b_h).

    Forgetting Transformer, https://arxiv.org/abs/2503.02130, as in zhixuan-lin/forgetting-
    transformer `modeling_forgetting_transformer.py`: gate t of head h stands between t − 1 and t,
    and a key is forgotten by all gates between it and the query. Positions need not be told. A
    temperature divides all of it.

    Deviation: for encoders, where a query also sees ahead, other gates of the same positions are
    between it and what follows (an extension, as x-transformers' DataDependentAlibi). A key that
    no query sees forgets nothing. Left out are gates that do not depend on the input, and the
    norms, the output gate and the shifts of the source's "Pro" block.

    Cost: 2 B T S D multiplications for attention and B T D H for gates, twice that to both sides;
    4 B H T S bytes of weights (float32) and, while they are made, 8 B H T S bytes of sums.

    >>> layer = ForgettingAttention(Config(), dims=32, heads=4, causal=True)
    >>> _ = [torch.nn.init.zeros_(part.weight) for part in (layer.key, layer.gate)]
    >>> layer(torch.randn(1, 3, 32), need_weights=True).weights[0, 0, 2]  # 1/4, 1/2, 1 by 7/4
    tensor([0.1429, 0.2857, 0.5714], grad_fn=<SelectBackward0>)
    """

    cross = False  # gates stand between the positions of one sequence
    neutral = "whisper", {"start": 1e4}

    def setup(self, config):
        self.gate = nn.Linear(self.dims, self.heads * (1 if self.is_causal else 2))
        nn.init.normal_(self.gate.weight, std=0.02)
        nn.init.constant_(self.gate.bias, config.start)

    def project(self, x, xa, state=None):
        """Keys hold the logarithms of their gates in one column more, or two."""
        place = State()
        place.length = 0 if state is None else state.length
        q, k, v = super().project(x, xa, place)
        precise = torch.promote_types(k.dtype, torch.float32)
        k = torch.cat((k.to(precise), F.logsigmoid(self.split(self.gate(x)).to(precise))), dim=-1)
        return q, *(state.append(k, v) if isinstance(state, UnevenCache) else (k, v))

    def new_state(self) -> State:
        return UnevenCache()

    def combine(self, q, k, v, view):
        K, seen = q.shape[-1], view.pairs()
        scores = (q * K**-0.5) @ k[..., :K].to(q.dtype).mT + self.bias(k[..., K:], view)
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = scores.softmax(dim=-1)
        if seen is not None:
            weights = weights.masked_fill(~seen, 0.0)  # a row that sees nothing is 0, not NaN
        return AttentionOutput(*view.read(weights, v))

    def bias(self, logs: Tensor, view: View) -> Tensor:
        """The logarithm of what is left of a key, (B, H, T, S), of those of gates (B, H, S, ·).

        Small differences of long sums: taken in double precision.
        """
        if view.mask is not None:
            seen = view.mask if view.mask.ndim == 2 else view.mask.any(dim=1)
            logs = logs.masked_fill(~seen[:, None, :, None], 0.0)
        sums = logs.double().cumsum(dim=2)  # c
        if self.heat is not None:
            sums = sums / self.heat.to(sums)[:, None, None]
        keys, given = torch.arange(view.S, device=sums.device), view.x.dtype
        behind, *ahead = sums.unbind(dim=-1)
        left = (behind[:, :, view.S - view.T :, None] - behind[:, :, None]).to(given)
        for other in ahead:
            over = (other[:, :, None] - other[:, :, view.S - view.T :, None]).to(given)
            left = left.where(keys <= keys[view.S - view.T :, None], over)
        return left
