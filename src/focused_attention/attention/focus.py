"""Focus: a span and a temperature for every head, and attention inside that span.

Shape alphabet: B batch, T query length, S key length, H heads, D model width, K head width; R is 1
where all queries of an item share a value, T where every query has its own.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import Mechanism
from focused_attention.attention.view import View
from focused_attention.attention.windows import blocks, distances, visible, window_attention

SCHEDULES = ("off", "published", "learned", "learned_span", "log_length")


class Spans(NamedTuple):
    """What the focus decided, per head: R is 1, or T where the context differs between queries."""

    span: Tensor  # (B, H, R) frames that are seen in full, on either side
    temperature: Tensor  # (B, H, R) relative to 1 / sqrt(K): 1 is standard attention


@dataclass(kw_only=True, slots=True)
class FocusConfig:
    max_span: int | None = 16  # frames either side, where published: 32 in all; None: all keys
    ramp: int = 8  # frames over which the soft mask falls from 1 to 0
    per_head: bool = True  # a span for every head, else one for all
    schedule: str = "published"  # of the temperature: one of SCHEDULES
    sharpen_longer: bool = False  # of `published`: which of its two lines
    temp_scale: float = 0.01  # of `published`: how much the span moves the temperature
    train_length: int = 256  # of `log_length`: visible keys at which the temperature is 1


class Focus(nn.Module):
    """Predicts a span from the global context and attends inside it, with a temperature.

    The span is z = max_span * sigmoid(w · context + b), and the soft mask of the adaptive span,
    m = clamp((z - distance) / ramp + 1, 0, 1) (https://arxiv.org/abs/1905.07799), multiplies the
    exponentiated scores, so that the predictor is trained. The context is the mean of the values
    that a query may see: of the item, of its past when causal. In cross-attention the
    distance is taken from where the unfocused head looks on average, since text and audio share no
    positions.

    Schedules of the temperature t, with s = sigmoid(w · context + b): `off` t = 1; `published`
    t = 1 + temp_scale (1 - s) if sharpen_longer, else 0.5 + temp_scale s; `learned` t = exp(a), per
    head; `learned_span` t = exp(a + c (s - 1/2)), per head; `log_length`
    t = sqrt(log train_length / log n), n = the visible keys within the span, at least 2.
    """

    def __init__(self, config: FocusConfig, dims: int, heads: int):
        super().__init__()
        checks.positive(
            max_span=config.max_span, ramp=config.ramp, train_length=config.train_length - 1
        )
        checks.choice("schedule", config.schedule, SCHEDULES)
        if config.schedule == "published":
            checks.not_negative(temp_scale=config.temp_scale)
        self.config = config
        self.heads = heads
        self.predictor = nn.Linear(dims, heads if config.per_head else 1)
        if config.schedule in ("learned", "learned_span"):
            self.level = nn.Parameter(torch.zeros(heads))  # log temperature
        if config.schedule == "learned_span":
            self.slope = nn.Parameter(torch.zeros(heads))

    def predict(self, v: Tensor, view: View) -> Spans:
        """Spans and temperatures of the queries from the values v (B, H, S, K) of their keys."""
        logits = v.transpose(1, 2).flatten(2) @ self.predictor.weight.T  # (B, S, H or 1)
        mean, n = running_mean(logits.float(), view)  # (B, R, H), (B, R, 1)
        share = (mean + self.predictor.bias).sigmoid().transpose(1, 2)  # (B, H or 1, R)
        share = share.expand(-1, self.heads, -1)
        n = n.transpose(1, 2)  # (B, 1, R)
        config = self.config
        span = share * (n if config.max_span is None else config.max_span)
        match config.schedule:
            case "off":
                temperature = torch.ones_like(share)
            case "published" if config.sharpen_longer:
                temperature = 1.0 + config.temp_scale * (1.0 - share)
            case "published":
                temperature = 0.5 + config.temp_scale * share
            case "learned":
                temperature = self.level.exp()[:, None].expand_as(share)
            case "learned_span":
                temperature = (self.level[:, None] + self.slope[:, None] * (share - 0.5)).exp()
            case "log_length":
                seen = torch.minimum(n, 1 + span * (1 if view.causal else 2)).clamp(min=2)
                temperature = (torch.log(seen.new_tensor(config.train_length)) / seen.log()).sqrt()
        return Spans(span, temperature)

    def soft_mask(self, distance: Tensor, span: Tensor) -> tuple[Tensor, Tensor]:
        """log of the soft mask at a distance from the query, and where it is above zero."""
        ramp = (span - distance) / self.config.ramp + 1
        inside = ramp > 0
        return ramp.clamp(1e-6, 1).log(), inside  # clamped: log 0 has no gradient

    def forward(
        self,
        q: Tensor,  # (B, H, T, K)
        k: Tensor,  # (B, H, S, K)
        v: Tensor,  # (B, H, S, K)
        view: View,
    ) -> tuple[Tensor, Tensor | None]:
        """Attention inside the predicted spans: (B, H, T, K) and, on request, (B, H, T, S)."""
        T, S = view.T, view.S
        span, temperature = self.predict(v, view)
        scale = q.shape[-1] ** -0.5
        plain, q = q, q * (scale / temperature[..., None]).to(q.dtype)  # times (B, H, R, 1)
        if not (view.cross or view.explicit or T != S or self.config.max_span is None):
            reach = self.config.max_span + self.config.ramp - 1
            size = max(16, -(-reach // 8) * 8)  # multiples of 8 fill the vector registers
            after = 0 if view.causal else 1
            if (2 + after) * size < T:
                return self.windowed(q, k, v, view.mask, span, size, after)
        merged = view.pairs()
        positions = torch.arange(S, device=q.device)
        if view.cross:
            unfocused = (plain * scale) @ k.transpose(-2, -1)
            if merged is not None:
                unfocused = unfocused.masked_fill(~merged, torch.finfo(q.dtype).min)
            centre = unfocused.float().softmax(dim=-1) @ positions.float()  # (B, H, T)
        else:
            centre = positions[S - T :].float()
        bias, inside = self.soft_mask((centre[..., None] - positions).abs(), span[..., None])
        inside = inside if merged is None else inside & merged
        scores = q @ k.transpose(-2, -1) + bias.to(q.dtype)  # (B, H, T, S)
        weights = scores.masked_fill(~inside, -torch.inf).softmax(dim=-1)
        return view.read(weights.masked_fill(~inside, 0.0), v)  # seeing nothing is 0, not NaN

    def windowed(self, q, k, v, mask, span, size: int, after: int) -> tuple[Tensor, None]:
        """The same within blocks: time and memory grow with T."""
        T = q.shape[2]
        span = span[..., None]  # (B, H, R, 1), cut into (B, H, n, w, 1) where R = T
        span = blocks(span, size) if span.shape[2] > 1 else span[..., None]
        distance = distances(size, 1, after, q.device)  # (w, W)
        bias, inside = self.soft_mask(distance.abs(), span)
        hidden = ~inside if after else ~inside | (distance < 0)
        seen = visible(mask, T, size, 1, after, q.device)
        return window_attention(
            q, k, v, bias.masked_fill(hidden, -torch.inf), seen, size=size, before=1, after=after
        )


class Focused(Mechanism):
    """A mechanism with a focus of its own, whose spans can be seen."""

    def setup(self, config):
        self.focus = Focus(config, self.dims, self.heads)

    def spans(self, x: Tensor, xa: Tensor | None = None, mask: Tensor | None = None) -> Spans:
        """The spans in frames and the temperatures that `forward` uses on the same input."""
        _, k, v = self.project(x, xa)
        return self.focus.predict(v, self.view(x, xa, mask, k))


def running_mean(x: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Mean of x (B, S, C) over the keys that a query may see, and their number.

    Returns (B, R, C) and (B, R, 1). R is 1 where all T queries see the same keys, else T; the last
    query is aligned with the last key. A query that sees nothing has mean 0 and number 1.
    """
    B, S, _ = x.shape
    mask, first = view.mask, S - view.T
    if mask is not None and mask.ndim == 3:
        seen = view.pairs()[:, 0].to(x.dtype)  # (B or 1, T, S)
        n = seen.sum(dim=-1, keepdim=True).clamp(min=1).expand(B, -1, -1)
        return seen @ x / n, n
    seen = x.new_ones(1, S, 1) if mask is None else mask[..., None].to(x.dtype)
    x = x if mask is None else x.masked_fill(~mask[..., None], 0.0)
    if view.causal:
        n = seen.cumsum(dim=1)[:, first:].clamp(min=1)
        return x.cumsum(dim=1)[:, first:] / n, n.expand(B, -1, -1)
    n = seen.sum(dim=1, keepdim=True).clamp(min=1)
    return x.sum(dim=1, keepdim=True) / n, n.expand(B, -1, -1)
