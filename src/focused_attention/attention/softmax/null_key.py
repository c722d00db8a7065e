"""Softmax with a null key, which lets a query attend to nothing: "off by one"."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention


@dataclass(kw_only=True, slots=True)
class Config:
    logit: float = 0.0  # of the null key: 0 is "off by one", log n is n null keys
    learned: bool = False  # a logit for every head, learned from `logit` on
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class NullKeyAttention(Mechanism):
    """exp(S) / (exp(b) + Σ exp(S)): softmax with one more key, of score b and value zero.

    With b = 0 it is softmax₁, https://www.evanmiller.org/attention-is-off-by-one.html; learned, it
    is the sink of gpt-oss (https://arxiv.org/abs/2508.10925). A row sums to less than one, and what
    is far below b is ignored: adding a number to all scores of a row is a change, unlike in
    softmax.

    Deviation: gpt-oss starts b at N(0, 0.02), here it starts at `logit`. A temperature divides b
    too.

    Cost: 2 B H T (S + 1) K multiplications, K + 1 in place of K where b is learned or not 0; no
    rows of weights are kept.

    >>> scores, null = torch.tensor([[0.0, 0.0, 0.0], [-2.0, -2.0, -2.0]]), torch.zeros(())
    >>> with_null(scores, null, None)[0].sum(dim=-1)
    tensor([0.7500, 0.2888])
    """

    normalised = False
    neutral = "whisper", {"logit": -1e4}

    def setup(self, config):
        logits = torch.full((self.heads,), float(config.logit))
        if config.learned:
            self.logits = nn.Parameter(logits)
        else:
            self.register_buffer("logits", logits, persistent=False)

    def combine(self, q, k, v, view):
        seen, scale = view.pairs(), q.shape[-1] ** -0.5
        null = self.logits if self.heat is None else self.logits / self.heat.to(self.logits)
        null = null[:, None, None].to(q.dtype)  # (H, 1, 1)
        if view.explicit or view.T == 1:
            weights, _ = with_null((q * scale) @ k.mT, null, seen)
            return AttentionOutput(*view.read(weights, v))
        seen = None if seen is None else F.pad(seen, (1, 0), value=True)
        if not self.config.learned and self.config.logit == 0:
            k, v = (F.pad(x, (0, 0, 1, 0)) for x in (k, v))
            return AttentionOutput(*softmax_attention(q, k, v, view, seen))
        # a column of ones in the queries reads the logit, which stands in that of the null key
        q, k, v = F.pad(q, (0, 1), value=1.0), F.pad(k, (0, 1)), F.pad(v, (0, 1, 1, 0))
        first = F.pad(null / scale, (k.shape[-1] - 1, 0)).expand(len(k), -1, -1, -1)
        out, _ = softmax_attention(q, torch.cat((first, k), dim=2), v, view, seen, scale)
        return AttentionOutput(out[..., :-1])


def with_null(scores: Tensor, null: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    """softmax of scores (..., S) and a null score (..., 1): their weights, and the null's.

    The maximum that is subtracted is that of both, so that neither is favoured or overflows.
    """
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    scores = torch.cat((null.expand(*scores.shape[:-1], 1), scores), dim=-1)
    weights = scores.softmax(dim=-1)
    return weights[..., 1:], weights[..., :1]
