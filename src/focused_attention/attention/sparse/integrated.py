"""Integrated attention: a local branch that focuses again and again, beside a global one."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.focus import Focus, Spans, running_mean
from focused_attention.attention.softmax.adaptive_span import LearnedSpanAttention
from focused_attention.attention.view import View


@dataclass(kw_only=True, slots=True)
class Config:
    max_span: int = 384  # longest span, in frames either side
    ramp: int = 8  # frames over which the soft mask falls from 1 to 0
    rounds: int = 10  # how often a query looks
    tolerance: float = 0.1  # change of what it finds, as a share, at which it stops moving
    actions: int = 10  # factors of the span, 0 to 1, among which the refiner chooses
    sharpen: bool = True  # which of the two published lines of the temperature
    temp_scale: float = 0.01  # how much the span moves the temperature
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class IntegratedFocusedAttention(Mechanism):
    """A local branch whose queries move towards what they find, beside a global one.

    The corrected form of `IntegratedAttention`. The span of a head is
    z = max_span σ(w · context + b) Σ_a p_a a / (actions - 1), p = softmax(W [context, variance]):
    mean and variance of the values that a query may see. In every round, softmax weights a inside
    the span find Σ a v, and the query becomes q + g Σ a k, g = clamp((c - t) / (1 - t), 0, 1), with
    the tolerance t and c = |change of Σ a v| / (1e-4 + |Σ a v|): it rests when it finds nothing
    new. With s = z / max_span, the temperature is 1 + temp_scale (1 - s) if `sharpen`, else
    1/2 + temp_scale s. One projection joins both branches.

    What was corrected: the expected action for the drawn one, and the task's loss for the reward,
    so that nothing is random and all is trained and saved; span, action and halt of every item,
    head and query for those of the batch; a soft mask for a cut of queries and keys; windows that
    move with the query; projected queries, keys and values in the local branch, as in `hybrid`;
    masks; both directions where not causal; a temperature that is not ignored; and a tolerance of
    what is found, where the published 0.1 is of the change itself, which stops at 1.1e-4. Left out:
    the normalisations, which the block around has, and keys kept from the call before, which the
    published module never does. Weights, on request, are the global branch's.

    Cost: 2 B T S D multiplications and 3 rounds B T w D of the local branch, w the keys of its
    windows or S; with gradients, 4 rounds B H T w bytes of weights more than plain attention.

    >>> layer = IntegratedFocusedAttention(Config(max_span=16), dims=32, heads=4)
    >>> x = torch.randn(2, 100, 32)
    >>> layer(x).out.shape, layer.spans(x).span.shape
    (torch.Size([2, 100, 32]), torch.Size([2, 4, 1]))
    """

    branches = 2

    soft_mask, windowed = Focus.soft_mask, Focus.windowed  # the same arithmetic
    inside = LearnedSpanAttention.inside

    def setup(self, config):
        checks.positive(
            max_span=config.max_span, ramp=config.ramp, rounds=config.rounds,
            tolerance=config.tolerance, actions=config.actions - 1,
        )  # fmt: skip
        if not config.tolerance < 1:
            raise ValueError(f"tolerance: expected a share below 1, given {config.tolerance!r}")
        checks.not_negative(temp_scale=config.temp_scale)
        self.predictor = nn.Linear(self.dims, self.heads)
        self.refiner = nn.Linear(2 * self.dims, config.actions)

    def combine(self, q, k, v, view):
        near = self.refocused(q, k, v, dataclasses.replace(view, need_weights=False))
        far, weights = softmax_attention(q, k, v, view, view.pairs())
        return AttentionOutput(torch.cat((near, far), dim=1), weights)

    def refocused(self, q: Tensor, k: Tensor, v: Tensor, view: View) -> Tensor:
        """The local branch, (B, H, T, K)."""
        span, temperature = self.focus(v, view)
        temperature = temperature[..., None].to(q.dtype)  # (B, H, R, 1)
        heat = 1.0 if self.heat is None else self.heat.to(q)[:, None, None]
        tolerance = self.config.tolerance
        both, before = torch.cat((k, v), dim=-1), torch.zeros_like(q)
        for _ in range(self.config.rounds):
            found, out = self.inside(q / temperature, k, both, view, span)[0].chunk(2, dim=-1)
            change, size = (x.abs().mean(-1, keepdim=True) for x in (out - before, out))
            new = (change / (1e-4 + size) - tolerance) / (1 - tolerance)
            q, before = q + new.clamp(0, 1) * found / heat, out
        return out

    def focus(self, v: Tensor, view: View) -> Spans:
        """Spans and temperatures of the queries from the values v (B, H, S, K) of their keys."""
        values = v.transpose(1, 2).flatten(2)
        values = values.to(torch.promote_types(v.dtype, torch.float32))
        mean, _ = running_mean(torch.cat((values, values.square()), dim=-1), view)
        mean, square = mean.chunk(2, dim=-1)  # (B, R, D)
        state = torch.cat((mean, (square - mean.square()).clamp(min=0)), dim=-1)
        share = linear(mean, self.predictor).sigmoid()  # (B, R, H)
        action = linear(state, self.refiner).softmax(dim=-1)  # (B, R, actions)
        factor = torch.linspace(0, 1, action.shape[-1], dtype=action.dtype, device=action.device)
        share = (share * (action @ factor)[..., None]).transpose(1, 2)
        level, distance = (1.0, 1.0 - share) if self.config.sharpen else (0.5, share)
        return Spans(self.config.max_span * share, level + self.config.temp_scale * distance)

    def spans(self, x: Tensor, xa: Tensor | None = None, mask: Tensor | None = None) -> Spans:
        """The spans in frames and the temperatures that `forward` uses on the same input."""
        _, k, v = self.project(x, xa)
        return self.focus(v, self.view(x, xa, mask, k))

    def placed(self, weights):
        """The global branch becomes the source, to which the local one at first adds nothing."""
        joined = weights["out.weight"]
        if joined.shape[1] == self.dims:
            joined = torch.cat((torch.zeros_like(joined), joined), dim=1)
        return weights | {"out.weight": joined}


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """The layer in the precision of x."""
    return x @ layer.weight.to(x.dtype).T + layer.bias.to(x.dtype)
