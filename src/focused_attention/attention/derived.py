"""Softmax attention whose queries and keys are made of something else than the layer's input."""

from torch import Tensor

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.state import KeyValueCache


class Derived(Mechanism):
    """softmax(q kᵀ / √K) v with values of the input, and queries and keys of what a subclass says.

    Shape alphabet: B batch, T query length, S key length, D model width.
    """

    def places(self, first: int, count: int, like: Tensor) -> Tensor:
        """What stands at positions first, first + 1, ..., (count, D), as `like` in dtype and place.

        It knows nothing of the input. Asked for by `sources` as it stands here.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither places nor sources")

    def sources(self, x: Tensor, xa: Tensor | None, first: int) -> tuple[Tensor, Tensor]:
        """What queries (B or 1, T, D) and keys (B or 1, S, D) are projected from.

        `first` is the position of the first query, in self-attention. In cross-attention a layer is
        not told where in a text its query stands: there, queries are made of the input.
        """
        if xa is not None:
            return x, self.places(0, xa.shape[1], xa)[None]
        own = self.places(first, x.shape[1], x)[None]
        return own, own

    def project(self, x, xa, state=None):
        self.check(x, xa)
        B, first = x.shape[0], 0 if state is None else state.length
        cached = isinstance(state, KeyValueCache)
        asking, answering = self.sources(x, xa, first)
        q = self.split(self.query(asking)).expand(B, -1, -1, -1)
        if self.heat is not None:
            q = q / self.heat.to(q)[:, None, None]
        if xa is not None and cached and state.keys is not None:
            return q, state.keys, state.values
        k = self.split(self.key(answering)).expand(B, -1, -1, -1)
        v = self.split(self.value(x if xa is None else xa))
        if xa is None:
            q, k = self.position(q, k, first)
            if cached:
                k, v = state.append(k, v)
        elif cached:
            state.fill(k, v)
        return q, k, v

    def combine(self, q, k, v, view):
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs()))
