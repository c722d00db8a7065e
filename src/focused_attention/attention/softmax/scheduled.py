"""Plain attention whose temperature is a given function of how many keys a query sees."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.focus import Spans
from focused_attention.attention.view import View

SCHEDULES = (
    "constant", "power", "log_n", "scalable", "learned", "published_sharper", "published_softer",
)  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Config:
    schedule: str = "constant"  # one of SCHEDULES
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not
    centre: float = 256.0  # keys at which all schedules but the published start at temperature 1
    slope: float = -0.5  # of `power`: below zero sharper when longer, above zero softer
    longest: float = 1024.0  # of the published: keys at which the span is 1, in full
    temp_scale: float = 0.01  # of the published: how much the span moves the temperature


class ScheduledAttention(Mechanism):
    """softmax(q kᵀ / (t √K)) v with a temperature t of n, the number of keys that a query sees.

    n is one number an item, or one a query where causality or the mask make it so; at least 2.
    Schedules: `constant` t = 1; `power` log t = slope log(n / centre); `log_n`
    t = log(centre) / log(n); `scalable` Scalable-Softmax, https://arxiv.org/abs/2501.19399: scores
    times s log n, s learned per head; `learned` log t = level + slope log(n / centre), both learned
    per head from 0 on; `published_sharper` t = 1 + temp_scale (1 - share) and `published_softer`
    t = 0.5 + temp_scale share, the focused attention module's lines for `sharpen_longer` True and
    False, with the given share = min(1, n / longest) of the longest span, not a predicted one.

    `centre` is to be the geometric mean of n over the rows of training: then the mean of log t over
    them is 0 under `constant`, under `power` with any slope and, with any slope, under `learned` at
    level 0. Under `log_n` it is a little above 0, since log log n bends. The published lines are as
    they are.

    Deviation: Scalable-Softmax learns s itself. Here it is exp(-level) / log(centre) with a level
    learned from 0 on, so that it starts as `log_n`, stays positive, and exp(level) is the
    temperature at `centre` as under `learned`.

    >>> layer = ScheduledAttention(Config(schedule="power", centre=50), dims=32, heads=4)
    >>> layer.spans(torch.randn(1, 200, 32)).temperature[0, 0]  # (50 / 200) ** 0.5
    tensor([0.5000])
    """

    def setup(self, config):
        checks.choice("schedule", config.schedule, SCHEDULES)
        checks.positive(longest=config.longest)
        checks.not_negative(temp_scale=config.temp_scale)
        if not config.centre > 1:
            raise ValueError(f"centre: expected more than one key, given {config.centre!r}")
        if config.schedule in ("scalable", "learned"):
            self.level = nn.Parameter(torch.zeros(self.heads))  # log temperature at `centre`
        if config.schedule == "learned":
            self.slope = nn.Parameter(torch.zeros(self.heads))  # d log t / d log n

    def combine(self, q, k, v, view):
        if self.config.schedule != "constant":
            q = (q / self.schedule(self.keys(view))).to(q.dtype)
        return AttentionOutput(*softmax_attention(q, k, v, view, view.pairs()))

    def keys(self, view: View) -> Tensor:
        """n, (B or 1, 1, T or 1, 1)."""
        precise = torch.promote_types(view.x.dtype, torch.float32)
        return view.counts().clamp(min=2).to(precise)

    def schedule(self, n: Tensor) -> Tensor:
        """Temperatures (B or 1, H or 1, R, 1) of queries that see n (B or 1, 1, R, 1) keys."""
        config, middle = self.config, math.log(self.config.centre)
        share = (n / config.longest).clamp(max=1.0)
        match config.schedule:
            case "constant":
                temperature = torch.ones_like(n)
            case "power":
                temperature = (config.slope * (n.log() - middle)).exp()
            case "log_n":
                temperature = middle / n.log()
            case "scalable":
                temperature = self.level.exp()[:, None, None] * middle / n.log()
            case "learned":
                level, slope = self.level[:, None, None], self.slope[:, None, None]
                temperature = (level + slope * (n.log() - middle)).exp()
            case "published_sharper":
                temperature = 1.0 + config.temp_scale * (1.0 - share)
            case "published_softer":
                temperature = 0.5 + config.temp_scale * share
        return temperature

    def spans(self, x: Tensor, xa: Tensor | None = None, mask: Tensor | None = None) -> Spans:
        """The keys that are seen and the temperatures that `forward` uses on the same input.

        Both (B, H, R), where R is 1 if all queries see the same keys, else T.
        """
        self.check(x, xa)
        n = self.keys(self.view(x, xa, mask, self.split(x if xa is None else xa)))
        shape = x.shape[0], self.heads, n.shape[2]
        return Spans(*(of[..., 0].expand(shape) for of in (n, self.schedule(n))))
