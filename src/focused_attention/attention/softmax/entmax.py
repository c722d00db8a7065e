"""Attention by α-entmax, whose weights reach zero."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention

STEPS = 60  # of Newton's method at most; a dozen are enough
CACHED = 2**17  # scores that are worked on at once: about what a core's cache holds


@dataclass(kw_only=True, slots=True)
class Config:
    alpha: float | None = 1.5  # 1: softmax, 2: sparsemax; None: learned, one of every head
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class EntmaxAttention(Mechanism):
    """Weights p = [(α - 1) S - τ]₊^(1/(α - 1)) with τ such that a row sums to one, S = q kᵀ / √K.

    α-entmax, https://arxiv.org/abs/1905.05702: keys that score low get exactly zero, and no
    gradient from that row. Learned (adaptively sparse Transformers,
    https://arxiv.org/abs/1909.00015), α = 1 + σ(a), at least 1.01, with a drawn from N(0, 1) for
    every head.

    Deviation: the source sorts a row (α 1.5 or 2) or bisects (others) to find τ; here Newton's
    method finds it for every α, see `threshold`. α above 2, where that is unstable, is refused.

    Cost: 2 B H T S K multiplications and some ten passes over B H T S numbers, each with a power
    unless α is 1.5 or 2; 4 B H T S bytes are kept.

    >>> scores = torch.tensor([1.0, 0.8, -0.4])
    >>> entmax(scores, 2.0), entmax(scores, 1.5)
    (tensor([0.6000, 0.4000, 0.0000]), tensor([0.5690, 0.4281, 0.0029]))
    >>> layer = EntmaxAttention(Config(alpha=None), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape, layer.alpha.shape
    (torch.Size([2, 100, 32]), torch.Size([4, 1, 1]))
    """

    neutral = "whisper", {"alpha": 1.0}

    def setup(self, config):
        if config.alpha is None:
            self.a = nn.Parameter(torch.randn(self.heads))
        elif not 1 <= config.alpha <= 2:
            raise ValueError(f"alpha: expected a number from 1 to 2 or None, given {config.alpha}")

    @property
    def alpha(self) -> float | Tensor:
        """Of all heads, or learned, (H, 1, 1)."""
        if self.config.alpha is not None:
            return self.config.alpha
        return (1 + self.a.sigmoid()).clamp(min=1.01)[:, None, None]

    def combine(self, q, k, v, view):
        seen = view.pairs()
        if self.config.alpha == 1:
            return AttentionOutput(*softmax_attention(q, k, v, view, seen))
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        return AttentionOutput(*view.read(entmax(scores, self.alpha), v))


def entmax(scores: Tensor, alpha: float | Tensor) -> Tensor:
    """Rows (..., S) of weights; alpha is one number or broadcast to (..., 1). -∞ alone is zero."""
    precise = torch.promote_types(scores.dtype, torch.float32)
    alpha = torch.as_tensor(alpha, dtype=precise, device=scores.device)
    return Entmax.apply(scores.to(precise), alpha).to(scores.dtype)


class Entmax(torch.autograd.Function):
    """With the gradient written out from the weights p, which it keeps alone.

    With g = p^(2 - α) where p > 0: dS = g (dp - Σ g dp / Σ g), and for α, https://arxiv.org/abs/1909.00015,
    dα = Σ dp [(p - ĝ) / (α - 1)² - (p log p - ĝ Σ p log p) / (α - 1)] with ĝ = g / Σ g.
    """

    @staticmethod
    def forward(ctx, scores, alpha):
        S, p = scores.shape[-1], scores.new_empty(scores.shape)
        rows, own = scores.reshape(-1, S), alpha.expand(*scores.shape[:-1], 1).reshape(-1, 1)
        size = max(1, CACHED // S) if rows.device.type == "cpu" else len(rows)
        for i, out in enumerate(p.view(-1, S).split(size)):
            part = slice(i * size, i * size + size)
            out.copy_(weights(rows[part], alpha if alpha.numel() == 1 else own[part]))
        ctx.save_for_backward(p, alpha)
        return p

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        p, alpha = ctx.saved_tensors
        tiny = torch.finfo(p.dtype).tiny
        g = raised(p, 2 - alpha).masked_fill(p == 0, 0.0)
        share = g / g.sum(dim=-1, keepdim=True).clamp(min=tiny)
        scores = g * (grad - (share * grad).sum(dim=-1, keepdim=True))
        if not ctx.needs_input_grad[1]:
            return scores, None
        logs = p * p.clamp(min=tiny).log()
        slope = (p - share) / (alpha - 1) - (logs - share * logs.sum(dim=-1, keepdim=True))
        return scores, (grad * slope / (alpha - 1)).sum_to_size(alpha.shape)


def weights(scores: Tensor, alpha: Tensor) -> Tensor:
    """Rows (N, S) of weights, alpha one number or (N, 1)."""
    top = scores.amax(dim=-1, keepdim=True)
    x = (alpha - 1) * (scores - top.masked_fill(top == -torch.inf, 0.0))  # at most 0
    p = raised((x - threshold(x, alpha)).clamp(min=0), 1 / (alpha - 1))
    return p / p.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(p.dtype).tiny)


def threshold(x: Tensor, alpha: Tensor) -> Tensor:
    """τ with Σ [x - τ]₊^p = 1, p = 1/(α - 1) ≥ 1, for rows x (..., S) whose greatest is 0.

    Newton's method on the norm (Σ [x - τ]₊^p)^(1/p), which is convex in τ, and the straighter the
    greater p. From τ = -1, where it is 1 or more, no step goes too far.
    """
    p = 1 / (alpha - 1)
    tau = torch.full_like(x[..., :1], -1.0)
    for _ in range(STEPS):
        away = (x - tau).clamp(min=0)
        lower = raised(away, p - 1).masked_fill(away == 0, 0.0)
        total = (lower * away).sum(dim=-1, keepdim=True)
        norm = raised(total, alpha - 1)
        step = (norm - 1) * total / (norm * lower.sum(dim=-1, keepdim=True))
        step = step.nan_to_num(0.0, 0.0, 0.0)  # of a row that sees nothing
        tau = tau + step
        if bool((step <= 2 * torch.finfo(x.dtype).eps).all()):
            break
    return tau


def raised(x: Tensor, power: Tensor) -> Tensor:
    """x to a power, which for the powers of α 1.5 and 2 is no power but a product or a root."""
    if power.numel() > 1:
        return x**power
    match power.item():
        case 0.0:
            return torch.ones_like(x)
        case 0.5:
            return x.sqrt()
        case 1.0:
            return x
        case 2.0:
            return x * x
        case _:
            return x**power
