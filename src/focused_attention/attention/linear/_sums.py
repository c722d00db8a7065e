"""Linear attention whose rows share no sum: what a query reads of the keys is one matrix of theirs.

    out_i = q_i Σ_j k_jᵀ v_j

A mechanism divides, decays or corrects that in its own way. Shape alphabet: B batch, T query
length, S key length, H heads, K head width, F features.
"""

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from focused_attention.attention.base import UnsuitedError
from focused_attention.attention.kernels import (
    CHUNK,
    Recurrent,
    SumState,
    by_pairs,
    causal_sums,
    products,
    without_padding,
)
from focused_attention.attention.state import State
from focused_attention.attention.uneven import UnevenCache
from focused_attention.attention.view import View


class SumAttention(Recurrent):
    """A mechanism calls `attend`. One whose keys meet otherwise says so in `summed` and `rows`.

    Both are to give the same: `summed` in time that grows with T, `rows` weight by weight.
    """

    normalised = False
    pairwise: ClassVar[bool] = True  # in self-attention, a mask may be of pairs
    memory: ClassVar[type[SumState]] = SumState

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        pairs = mask is not None and mask.ndim == 3
        if xa is not None and (need_weights or self.edit or pairs):
            state = None  # that needs the keys, not their sums
        self.suits(state, xa, pairs)
        return super().forward(x, xa, mask, state=state, need_weights=need_weights)

    def suits(self, state: State | None, xa: Tensor | None, pairs: bool) -> None:
        """Raise UnsuitedError for a use that sums do not allow."""
        name, own = type(self).__name__, xa is None
        if own and pairs and not self.pairwise:
            raise UnsuitedError(f"{name} takes no mask of pairs: all queries share its sums")
        if state is None:
            return
        if not isinstance(state, self.memory) or (own and not self.is_causal):
            raise UnsuitedError(f"{name} decodes where it is causal, with a state of its own")
        if own and (pairs or (self.edit is not None and state.kept is None)):
            raise UnsuitedError(
                "a state of sums has no single keys to edit or to hide from a query"
            )

    def new_state(self) -> State:
        return self.memory(kept=None if self.edit is None else UnevenCache())

    def attend(self, q: Tensor, k: Tensor, v: Tensor, view: View) -> tuple[Tensor, Tensor | None]:
        """Queries (B, H, T, F) meet keys (B, H, S, F) and values (B, H, S, K): (B, H, T, K).

        Sums are taken in single precision at least. The weights, if the view needs them, are those
        of the keys of this call, or of all where these are kept.
        """
        precise, given = torch.promote_types(q.dtype, torch.float32), view.x.dtype
        with torch.autocast(q.device.type, enabled=False):
            q = q.to(precise)
            if k.is_meta:
                out, weights = q @ view.state.sums, None
            else:
                out, weights = self.meet(q, k.to(precise), v.to(precise), view)
        return out.to(given), None if weights is None else weights.to(given)

    def meet(self, q, k, v, view) -> tuple[Tensor, Tensor | None]:
        state = view.state
        if not by_pairs(view):
            k = without_padding(k, view)
        if state is None and (view.explicit or by_pairs(view) or view.S <= CHUNK):
            return view.read(self.rows(q, k, view), v)
        out, sums = self.summed(q, k, v, None if state is None else state.sums, view)
        if state is not None:
            state.sums, state.length = sums, state.length + k.shape[2]
            if state.kept is not None:
                k, v = state.kept.append(k, v)
                view = replace(view, S=k.shape[2], mask=None)
        if view.edit is not None:
            return view.read(self.rows(q, k, view), v)
        return out, self.rows(q, k, view) if view.need_weights else None

    def summed(
        self, q: Tensor, k: Tensor, v: Tensor, past: Tensor | None, view: View
    ) -> tuple[Tensor, Tensor | None]:
        """(B, H, T, K), and the sums (B, H, F, K) over all keys and the `past` before them."""
        if view.causal and view.T > 1:
            return causal_sums(q, k, v, past)
        total = k.mT @ v if past is None else past + k.mT @ v
        return q @ total, total

    def rows(self, q: Tensor, k: Tensor, view: View) -> Tensor:
        """The weights (B, H, T, S), zero where a query does not see a key."""
        return products(q, k, view)
