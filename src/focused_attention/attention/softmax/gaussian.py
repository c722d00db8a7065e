"""Frames weighed by a Gaussian of their own values, instead of being compared."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism

EPS = 1e-8  # of variances


@dataclass(kw_only=True, slots=True)
class Config:
    gaussians: int = 5  # of every head, which are multiplied


class GaussianAttention(Mechanism):
    """x ⊙ w with w_t ∝ Π_i N_i(x_t), channel by channel, over the frames t of a head.

    GAAM, https://arxiv.org/abs/2401.11143, as in the package gaussian-adaptive-attention 0.1.5:
    N_i = exp(-y² / 2c_i²) / √(2π c_i²) with y = (x - μ - δ_i) / √(σ² + ε), μ and σ² those of a
    channel over the frames of a head, and δ_i, c_i learned. Heads divide the frames: each has
    ⌊n / H⌋ in turn, the last one the rest. A product of Gaussians, as which the code makes the
    paper's mixture, is one Gaussian: it is computed from Σ 1 / c_i² and the δ_i weighed by that.
    Nothing is projected or mixed, and over long audio w is small; the residual is the block's.

    Rows to show, the same of every query: the mean of w over channels, of a head's own frames.

    Deviation: w is a softmax, while the package bounds its sum from below by 1e-8; c starts as
    exp(N(0, 1)), as in the repository; statistics leave padding out; an item of fewer frames than
    heads has a frame a head. The package's other axis, channels, lets no frame read another.

    Cost: about 10 B T D multiplications and, to share out sums, 7 B T H D; 4 B T D bytes of w
    (float32), and 4 B H T of rows when they are asked for.

    >>> layer = GaussianAttention(Config(), dims=32, heads=4)
    >>> out, weights, _ = layer(torch.randn(2, 9, 32), need_weights=True)
    >>> weights[0, :, 0].count_nonzero(dim=-1)
    tensor([2, 2, 2, 3])
    """

    causal = cross = projected = False
    neutral = "it weighs frames that it does not mix, and plain attention mixes them"

    def setup(self, config):
        checks.positive(gaussians=config.gaussians)
        self.delta = nn.Parameter(torch.zeros(self.heads, config.gaussians))
        self.c = nn.Parameter(torch.randn(self.heads, config.gaussians).exp())

    def placed(self, weights):
        """Its own, of its like; of projections it has none, so of others it takes nothing."""
        return {name: weights[name] for name in ("delta", "c") if name in weights}

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        checks.sequence("x", x, self.dims, self.c.device)
        if xa is not None:
            raise ValueError("xa: expected None, it weighs its own sequence")
        B, T, _ = x.shape
        seen = torch.ones(B, T, dtype=torch.bool, device=x.device)
        if mask is not None:
            checks.key_mask(mask, B, T, T, x.device)
            seen = (mask if mask.ndim == 2 else mask.any(dim=1)).expand(B, T)
        x = x.masked_fill(~seen[..., None], 0.0)
        precise = torch.promote_types(x.dtype, torch.float32)
        part = self.parts(seen).to(precise)
        w = self.weigh(x.to(precise), part)
        out = x * w.to(x.dtype)
        if not need_weights:
            return AttentionOutput(out)
        rows = (part * w.mean(dim=-1)[:, None]).to(x.dtype)  # (B, H, T)
        return AttentionOutput(out, rows[:, :, None].expand(-1, -1, T, -1))

    def parts(self, seen: Tensor) -> Tensor:
        """Which head has which frame, of those that are seen (B, T): (B, H, T) bool."""
        size = (seen.sum(dim=1, keepdim=True) // self.heads).clamp(min=1)
        head = ((seen.cumsum(dim=1) - 1) // size).clamp(max=self.heads - 1)
        every = torch.arange(self.heads, device=seen.device)
        return (head[:, None] == every[:, None]) & seen[:, None]

    def weigh(self, x: Tensor, part: Tensor) -> Tensor:
        """w (B, T, D) of x (B, T, D), zero where no head (B, H, T) has a frame."""
        n = part.sum(dim=-1, keepdim=True)
        back = part.mT  # what a head has, to its frames
        away = x - back @ (part @ x / n.clamp(min=1))
        variance = part @ away.square() / (n - 1).clamp(min=1) + EPS  # (B, H, D)
        precisions = self.c.pow(-2)
        precision = precisions.sum(dim=-1, keepdim=True)  # (H, 1)
        centre = (precisions * self.delta).sum(dim=-1, keepdim=True) / precision
        if self.heat is not None:
            precision = precision / self.heat.to(precision)[:, None]
        logits = -0.5 * (away - back @ centre.to(x)).square() * (back @ (precision / variance))
        with torch.no_grad():
            outside = part[..., None] == 0
            highest = [logits.masked_fill(of, -torch.inf).amax(dim=1) for of in outside.unbind(1)]
            highest = torch.stack(highest, dim=1).nan_to_num(neginf=0.0)  # (B, H, D)
        e = (logits - back @ highest).exp() * part.sum(dim=1)[..., None]
        return e * (back @ (1 / (part @ e).clamp(min=0.5)))  # the highest has e = 1
