"""The parts of routed attention: a router that selects positions, experts that attend to them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.routing import coordinate_descent


class Router(nn.Module):
    """Selects positions for every expert, as `colt5-attention`'s `CoordinateDescentRouter`.

    Ties of the saturated scores are broken by the raw scores, so the selection is deterministic.
    """

    def __init__(self, dim: int, num_experts: int, fetch_k_ratio: float = 9 / 8, **descent: float):
        super().__init__()
        checks.positive(**descent)
        if fetch_k_ratio < 1:
            raise ValueError(f"fetch_k_ratio: expected at least 1, given {fetch_k_ratio}")
        self.fetch_k_ratio, self.descent = fetch_k_ratio, descent
        self.routing_token = nn.Parameter(torch.randn(num_experts, dim))

    def forward(self, s: Tensor, num_tokens: int, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From scores s (..., n): indices, gates (1, or 0 where masked) and mask, each (..., k).

        All n positions where there are no more than num_tokens.
        """
        n = s.shape[-1]
        mask = mask.expand_as(s)
        if n <= num_tokens:
            return torch.arange(n, device=s.device).expand_as(s), torch.ones_like(s), mask
        wanted = min(num_tokens * self.fetch_k_ratio, n)
        soft = coordinate_descent(s, wanted, mask=mask, **self.descent)
        order = s.detach().masked_fill(~mask, -torch.inf)
        indices = order.topk(num_tokens, dim=-1).indices
        selected, chosen = soft.gather(-1, indices), mask.gather(-1, indices)
        gates = selected + (1 - selected).detach()  # straight through
        return indices, gates.masked_fill(~chosen, 0.0), chosen


class RMSNorm(nn.Module):
    """x / rms(x), with a learned gain for every expert: (..., E, n, D)."""

    def __init__(self, dim: int, num_experts: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_experts, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * self.gamma


class Experts(nn.Module):
    """Cross-attention of E experts side by side, each with a null key and value.

    The null key keeps a row without any key defined.
    """

    def __init__(self, dim, num_experts, dim_head, heads, dropout, flash_attn, prenorm):
        super().__init__()
        inner, bound = dim_head * heads, dim**-0.5
        self.heads, self.dropout, self.flash = heads, dropout, flash_attn
        self.norm = RMSNorm(dim, num_experts) if prenorm else nn.Identity()
        self.context_norm = RMSNorm(dim, num_experts) if prenorm else nn.Identity()
        self.null_kv = nn.Parameter(torch.randn(2, num_experts, heads, 1, dim_head))
        self.to_q = nn.Parameter(torch.empty(num_experts, dim, inner).uniform_(-bound, bound))
        self.to_kv = nn.Parameter(torch.empty(num_experts, dim, 2 * inner).uniform_(-bound, bound))
        bound = inner**-0.5
        self.to_out = nn.Parameter(torch.empty(num_experts, inner, dim).uniform_(-bound, bound))

    def forward(
        self,
        x: Tensor,  # (N, E, n, D)
        context: Tensor,  # (N, E, m, D)
        mask: Tensor,  # (N, E, m) bool
        gates: Tensor,  # (N, E, m), multiply the values
        rotary: tuple[Tensor, Tensor] | None,  # angles of queries and keys, (N, E, n or m, K)
    ) -> Tensor:
        q = (self.norm(x) @ self.to_q).unflatten(-1, (self.heads, -1)).transpose(2, 3)
        kv = (self.context_norm(context) @ self.to_kv).unflatten(-1, (2, self.heads, -1))
        k, v = kv.unbind(dim=3)
        k, v = k.transpose(2, 3), v.transpose(2, 3)  # (N, E, H, m, K)
        if rotary is not None:
            q, k = (turn(t, angles[:, :, None]) for t, angles in zip((q, k), rotary, strict=True))
        v = v * gates[:, :, None, :, None]
        null = self.null_kv[:, None].expand(-1, x.shape[0], *(-1,) * 4)  # (2, N, E, H, 1, K)
        k, v = torch.cat((null[0], k), dim=3), torch.cat((null[1], v), dim=3)
        mask = F.pad(mask, (1, 0), value=True)[:, :, None, None]  # (N, E, 1, 1, 1 + m)
        dropout = self.dropout if self.training else 0.0
        if self.flash:
            q, k, v, mask = (t.flatten(0, 1) for t in (q, k, v, mask))
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
            out = out.unflatten(0, (-1, x.shape[1]))
        else:
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            out = F.dropout(weights, dropout) @ v
        return out.transpose(2, 3).flatten(3) @ self.to_out  # (N, E, n, D)


def turn(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the halves of the last axis by given angles, both (..., n, K)."""
    a, b = x.chunk(2, dim=-1)
    return x * angles.cos().to(x.dtype) + torch.cat((-b, a), dim=-1) * angles.sin().to(x.dtype)
