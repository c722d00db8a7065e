"""The published integrated module, mistakes included: for comparison, never for use."""

import numpy as np
import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.modules.adaptive_update import (
    AdaptiveUpdateAttention,
    BaseAttention,
    calculate_attention,
)

ITERATIONS = 10  # of focusing, at most
THRESHOLD, FACTOR = 1e-4, 0.1  # of the change at which focusing stops
BINS = np.linspace(-1, 1, num=10)


class Refiner:
    """A table of the values of actions in states, learned by the rule of Q-learning."""

    random = np.random  # the global generator: torch's seed does not reach it

    def __init__(self, states: int, actions: int, alpha=0.1, gamma=0.9, epsilon=0.1):
        self.states, self.actions = states, actions
        self.alpha, self.gamma, self.epsilon = alpha, gamma, epsilon
        self.R: dict[tuple[int, int], float] = {}

    def values(self, state: int) -> list[float]:
        return [self.R.get((state, action), 0.0) for action in range(self.actions)]

    def choose_action(self, state: int) -> int:
        if self.random.random() < self.epsilon:
            return self.random.randint(self.actions)
        return np.argmax(self.values(state))

    def update(self, state: int, action: int, reward: float, next_state: int) -> None:
        old = self.R.get((state, action), 0.0)
        target = reward + self.gamma * max(self.values(next_state))
        self.R[state, action] = old + self.alpha * (target - old)


class Predictor(nn.Module):
    """sigmoid(w · mean over time + b), one number an item."""

    def __init__(self, dims: int):
        super().__init__()
        self.linear = nn.Linear(dims, 1)
        nn.init.xavier_normal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, global_out: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(global_out.mean(dim=1)))


class AdaptiveSpan(BaseAttention):
    """A parameter and a distance; its published `forward`, which nothing calls, is left out."""

    def __init__(self, dims: int, head: int, max_dist: int):
        super().__init__(dims, head, max_dist)
        self.span_scale = nn.Parameter(torch.tensor(1.0))


class IntegratedAttention(BaseAttention):
    """The published module, with its arguments: refocused windows beside global attention.

    From sine2pi/Focused-Attention, README at bbe5b1f, which lacks an import of NumPy. Kept: `xa`
    and `kv_cache` are ignored, so that the update predictors are never asked; the global branch
    takes its values for a mask, and so is causal, as the windows are; masks are ignored, and
    `temp_scale`, unless `BaseAttention.use_sdpa` is off; `.item()` cuts the gradient of the span;
    all items share the learner's one action, which is 0, no local branch at all, until it knows
    better; it draws from NumPy, learns in evaluation, too, and is not saved. Half precision, which
    the published code asks for on a GPU, is the caller's choice.

    >>> layer = IntegratedAttention(ctx=100, dims=32, head=4)
    >>> layer(torch.randn(2, 100, 32)).shape
    torch.Size([2, 100, 32])
    """

    def __init__(
        self,
        ctx: int,
        dims: int,
        head: int,
        max_dist: int = 512,
        win_size: int = 256,
        max_span: int = 384,
        temp_scale: float = 0.01,
    ):
        super().__init__(dims, head, max_dist)
        checks.positive(win_size=win_size, max_span=max_span)
        self.ctx, self.max_span, self.sliding_window = ctx, max_span, win_size
        self.temp_scale, self.sharpen = temp_scale, True
        self.refiner = Refiner(states=10000, actions=10)
        self.span_pred = Predictor(dims)
        self.attn_local = AdaptiveSpan(dims, head, max_dist)
        self.attn_global = AdaptiveUpdateAttention(dims, head, max_dist)
        self.projection = nn.Linear(2 * dims, dims)
        self.ln_a, self.ln_b = nn.LayerNorm(dims), nn.LayerNorm(dims)

    def forward(self, x: Tensor, xa=None, mask: Tensor | None = None, kv_cache=None) -> Tensor:
        local, globe = self.ln_a(x), self.ln_b(x)
        globe_out = self.attn_global(globe, globe, globe)  # query, key and mask
        state = self.extract(local)
        action = self.refiner.choose_action(state)
        span_scale = self.span_scale(globe_out, action)
        mean = span_scale.mean().item()
        win_size = max(1, int(self.sliding_window * mean))
        span_len = max(1, int(self.max_span * mean))
        self.attn_local.max_dist = min(self.max_dist, span_len, win_size)
        self.attn_global.max_dist = min(self.max_dist, local.shape[1])
        local_out = self.slide_win(local, win_size, span_len, mean, mask)
        self.refiner.update(state, action, self.quality(local_out), self.extract(local_out))
        return self.projection(torch.cat([local_out, globe_out], dim=-1))

    def span_scale(self, globe_out: Tensor, action: int) -> Tensor:
        """The predicted span of every item times the action's factor of them all, (B, 1)."""
        refine = globe_out.new_tensor([action / (self.refiner.actions - 1)])
        return (self.span_pred(globe_out) * refine).clamp(0.0, 1.0)

    @torch.no_grad()
    def quality(self, output: Tensor) -> float:
        """The reward: how much is above 0.01, less a tenth of -Σ p log p of what is no p."""
        safe = output.clamp(min=1e-10)
        entropy = -(safe * safe.log()).sum(dim=-1).mean()
        return float((output > 0.01).float().mean() - 0.1 * entropy)

    @torch.no_grad()
    def extract(self, x: Tensor) -> int:
        """The learner's state: a hash of the binned mean and variance of every channel."""
        moments = torch.cat((x.mean(dim=(0, 1)), x.var(dim=(0, 1), unbiased=False)))
        return hash(tuple(np.digitize(moments.cpu().numpy(), BINS))) % (self.refiner.states - 1)

    def slide_win(
        self, x: Tensor, win_size: int, span_len: int, mean: float, mask: Tensor | None
    ) -> Tensor:
        """The published loop over windows, (B, T, D)."""
        (B, T, _), out = x.shape, torch.zeros_like(x)
        for i in range(0, T, win_size):
            end, stop = min(i + win_size, T), min(i + span_len, T)
            start = max(0, i - span_len + win_size)
            if mask is not None and mask.ndim == 4:
                seen = mask[:, :, i:end, start:stop].expand(-1, self.head, -1, -1)
            else:
                size = B, self.head, end - i, stop - start
                seen = torch.ones(size, dtype=torch.bool, device=x.device)
            out[:, i:end] = self._focus(x[:, i:end], x[:, start:stop], mean, seen)
        return out

    def _focus(self, query: Tensor, key: Tensor, mean: float, mask: Tensor) -> Tensor:
        """Attend, add what was found to the query, and attend again: (B, e, D)."""
        previous = out = torch.zeros_like(query)
        e = min(int(self.max_span * mean), query.shape[1], key.shape[1], self.max_dist)
        level, distance = (1.0, 1.0 - mean) if self.sharpen else (0.5, mean)
        if mask.shape[2:] != (e, e):
            resized = mask.new_ones(len(query), self.head, e, e)
            resized[:, :, : mask.shape[2], : mask.shape[3]] = mask[:, :, :e, :e]
            mask = resized
        for _ in range(ITERATIONS if e else 0):
            q, k = self.split(query[:, :e]), self.split(key[:, :e])
            temperature = level + self.temp_scale * distance
            out = calculate_attention(q, k, k, mask, temperature, BaseAttention.use_sdpa)
            out = out.transpose(1, 2).flatten(2)
            change = (out - previous).abs().mean()
            if change < THRESHOLD + FACTOR * change:
                break
            previous, query = out, query + out
        return out
