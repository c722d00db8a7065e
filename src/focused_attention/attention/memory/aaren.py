"""Aaren: attention as a recurrence, with one learned query for all positions."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput, UnsuitedError
from focused_attention.attention.derived import Derived
from focused_attention.attention.state import KeyValueCache, State
from focused_attention.attention.view import View
from focused_attention.attention.windows import blocks

CHUNK = 64  # positions whose weights are computed one by one
FLOOR = -1e30  # the score of a key that is not seen: finite, and nothing beside any other


@dataclass(kw_only=True, slots=True)
class Config:
    pass


@dataclass
class PrefixState(State):
    """m, w and u of all keys so far: one vector, after a thousand keys as after one."""

    top: Tensor | None = field(default=None, repr=False)  # m (B, H, 1)
    sums: Tensor | None = field(default=None, repr=False)  # w and u (B, H, 1, K + 1)
    length: int = 0

    def reorder(self, index: Tensor) -> None:
        if self.top is not None:
            self.top, self.sums = self.top[index], self.sums[index]


class AarenAttention(Derived):
    """o_i = Σ_{j≤i} exp(s_j) v_j / Σ_{j≤i} exp(s_j), s_j = q k_jᵀ / √K, with one learned query q.

    Attention as an RNN, https://arxiv.org/abs/2405.13956: since all positions have one query,
    prefixes share their sums. Of a span, m is the highest score, u = Σ exp(s_j - m) and
    w = Σ exp(s_j - m) v_j; two neighbours a and b are joined to m = max(m_a, m_b),
    u = u_a exp(m_a - m) + u_b exp(m_b - m), and w likewise; o = w / u. Spans of 64 are joined by a
    scan over spans, so that time grows with T. Nothing is rotated (RoPE): one query for all is at
    no position.

    Reconstructed: that q is the query projection of a learned token, which starts from N(0, 1).
    Deviation: without causality, o_i is the mean of what is up to i from the left and from the
    right, of those that see a key: an extension.

    Cost: 65 B H T (K + 1) multiplications and 4 B H T (64 + 5 K) bytes, twice that without
    causality; decoding, 4 B H (K + 2) bytes.

    >>> layer = AarenAttention(Config(), dims=32, heads=4, causal=True)
    >>> state = layer.new_state()
    >>> layer(torch.randn(2, 100, 32), state=state).out.shape, state.sums.shape
    (torch.Size([2, 100, 32]), torch.Size([2, 4, 1, 9]))
    >>> top, sums = prefixes(torch.tensor([[[0.0, 7.0, 7.0]]]), torch.ones(1, 1, 3, 1))
    >>> top, sums.flatten()  # m, and u of each prefix
    (tensor([[[0., 7., 7.]]]), tensor([1.0000, 1.0009, 2.0009]))
    """

    cross = False  # of another sequence, every query would read the same
    recurrent = True
    neutral = "a query that is the same at every position is no query of plain attention"

    def setup(self, config):
        self.token = nn.Parameter(torch.randn(self.dims))

    def sources(self, x, xa, first):
        return self.token.expand(1, 1, -1), x

    def new_state(self) -> State:
        return PrefixState() if self.edit is None else KeyValueCache()

    def combine(self, q, k, v, view):
        precise, given = torch.promote_types(q.dtype, torch.float32), q.dtype
        state = view.state if isinstance(view.state, PrefixState) else None
        pairs = view.mask is not None and view.mask.ndim == 3
        if state is not None and (pairs or view.edit is not None or not view.causal):
            raise UnsuitedError("a state of prefixes has no single keys to edit, hide or see ahead")
        with torch.autocast(q.device.type, enabled=False):
            s = (k.to(precise) @ q.to(precise).mT).squeeze(-1) * k.shape[-1] ** -0.5  # (B, H, S)
            if state is None and (view.explicit or pairs or view.S <= CHUNK):
                out, weights = view.read(self.rows(s, view), v.to(precise))
            else:
                out, weights = self.scanned(s, v.to(precise), view, state)
        return AttentionOutput(out.to(given), None if weights is None else weights.to(given))

    def rows(self, s: Tensor, view: View) -> Tensor:
        """The weights (B, H, T, S) of scores (B, H, S); a row that sees nothing is zero."""
        every = torch.ones(view.T, view.S, dtype=torch.bool, device=s.device)
        seen = view.pairs()
        sides = (every,) if view.causal else (every.tril(), every.triu())
        rows = [softmax(s, side if seen is None else seen & side) for side in sides]
        some = sum(row.sum(dim=-1, keepdim=True) > 0.5 for row in rows)
        return sum(rows) / some.clamp(min=1)

    def scanned(self, s, v, view, state) -> tuple[Tensor, Tensor | None]:
        """The same in time that grows with T, and with a state."""
        if view.mask is not None:
            s = s.masked_fill(~view.mask[:, None], FLOOR)
        v = F.pad(v, (0, 1), value=1.0)
        if not view.causal:
            left, right = prefixes(s, v), prefixes(s.flip(2), v.flip(2))
            top, sums = (torch.stack((a, b.flip(2))) for a, b in zip(left, right, strict=True))
            some = (top > FLOOR)[..., None].to(v)
            return (some * quotient(sums)).sum(dim=0) / some.sum(dim=0).clamp(min=1), None
        past = 0
        if state is not None and state.top is not None:
            past, s = 1, torch.cat((state.top, s), dim=2)
            v = torch.cat((state.sums, v), dim=2)
        top, sums = prefixes(s, v)
        if state is not None:
            state.top, state.sums = top[..., -1:].clone(), sums[:, :, -1:].clone()
            state.length += view.T
        top, sums, shown = top[..., past:, None], sums[:, :, past:], None
        if view.need_weights:
            shown, seen = (
                (s[:, :, None, past:] - top).clamp(max=0).exp() / sums[..., -1:],
                view.pairs(),
            )
            shown = shown if seen is None else shown.masked_fill(~seen, 0.0)
        return quotient(sums).masked_fill(top == FLOOR, 0.0), shown


def prefixes(m: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Of elements m (B, H, T) with sums (B, H, T, K), the m and sums of all up to each.

    Sums alone have gradients, and the m of single keys: what is taken out of one m is in the other.
    """
    T = m.shape[2]
    m, sums = blocks(m, min(CHUNK, T)), blocks(sums, min(CHUNK, T))  # (B, H, n, C, ·)
    top = m.detach().cummax(dim=-1).values
    after = torch.ones(2 * m.shape[-1:], dtype=torch.bool, device=m.device).triu(1)
    sums = (m[..., None, :] - top[..., None]).masked_fill(after, -torch.inf).exp() @ sums
    if m.shape[2] > 1:
        spans = prefixes(top[..., -1], sums[..., -1, :])
        before = F.pad(spans[0][..., :-1, None], (0, 0, 1, 0), value=FLOOR)  # (B, H, n, 1)
        past = F.pad(spans[1][:, :, :-1, None], (0, 0, 0, 0, 1, 0))  # (B, H, n, 1, K)
        joined = torch.maximum(top, before)
        kept, added = ((a - joined).exp()[..., None] for a in (top, before))
        top, sums = joined, kept * sums + added * past
    return top.flatten(2)[..., :T], sums.flatten(2, 3)[:, :, :T]


def quotient(sums: Tensor) -> Tensor:
    """w / u of (..., K + 1)."""
    return sums[..., :-1] / sums[..., -1:]


def softmax(s: Tensor, seen: Tensor) -> Tensor:
    """Rows (B, H, T, S) of scores (B, H, S) where keys are seen (·, ·, T, S), else zero."""
    hidden = ~seen & seen.any(dim=-1, keepdim=True)
    return s[:, :, None].masked_fill(hidden, -torch.inf).softmax(dim=-1).masked_fill(~seen, 0.0)
