"""Mixture of autoregressive attention, with the documented interface of zeta's module."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.modules.experts import Experts, Router
from focused_attention.attention.modules.local import LocalAttention


class MixtureOfAutoregressiveAttention(nn.Module):
    """Causal local attention, plus experts whose routed queries see routed keys of the far past.

    The documented interface of zeta's `MixtureOfAutoregressiveAttention`, after CoLT5
    (https://arxiv.org/abs/2303.09752). The sequence is cut into windows. For every window and
    expert, coordinate descent picks `num_routed_queries` of its queries and
    `num_routed_key_values` keys among all positions before the window; an unrouted query gets the
    expert's null token. The experts are summed with the local branch, or averaged.

    Keys never lie in a query's future, but *which* queries of a window are routed depends on the
    whole window: unless all of them are routed, a position learns about the next few.

    `use_triton` needs a CUDA device; there the same operations run, no other kernel. `rotary_emb`
    holds angles, (T, dim_head); the (T, dim) of the documented example fits no head.

    >>> attend = MixtureOfAutoregressiveAttention(
    ...     64, num_routed_queries=5, num_routed_key_values=5, local_attn_window_size=32, heads=2
    ... )
    >>> attend(torch.randn(3, 60, 64), num_routed_queries=3, num_routed_key_values=7).shape
    torch.Size([3, 60, 64])
    """

    def __init__(
        self,
        dim: int,
        num_routed_queries: int,
        num_routed_key_values: int,
        local_attn_window_size: int,
        routed_window_size: int | None = None,
        num_experts: int = 2,
        dim_head: int = 64,
        heads: int = 8,
        dropout: float = 0.0,
        use_triton: bool = False,
        flash_attn: bool = True,
        prenorm: bool = True,
        average_routed: bool = False,
        n_iters: int = 20,
        fetch_k_ratio: float = 9 / 8,
        eps: float = 0.03,
        eps_init: float = 4.0,
        eps_decay: float = 0.7,
    ):
        super().__init__()
        checks.positive(
            dim=dim,
            num_routed_queries=num_routed_queries,
            num_routed_key_values=num_routed_key_values,
            local_attn_window_size=local_attn_window_size,
            routed_window_size=routed_window_size,
            num_experts=num_experts,
            dim_head=dim_head,
            heads=heads,
        )
        if use_triton and not torch.cuda.is_available():
            raise ValueError("use_triton: expected a CUDA device, given a machine without one")
        descent = {"n_iters": n_iters, "eps": eps, "eps_init": eps_init, "eps_decay": eps_decay}
        inner = dim_head * heads
        self.dim, self.dim_head, self.heads = dim, dim_head, heads
        self.num_routed_queries = num_routed_queries
        self.num_routed_key_values = num_routed_key_values
        self.routed_window_size = routed_window_size or local_attn_window_size
        self.average_routed = average_routed
        self.local_norm = nn.LayerNorm(dim) if prenorm else nn.Identity()
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.local_attn = LocalAttention(
            local_attn_window_size, True, dim=dim_head, exact_windowsize=True, dropout=dropout
        )
        self.to_out = nn.Linear(inner, dim, bias=False)
        self.query_router = Router(dim, num_experts, fetch_k_ratio, **descent)
        self.key_value_router = Router(dim, num_experts, fetch_k_ratio, **descent)
        self.null_tokens = nn.Parameter(torch.randn(num_experts, dim))
        self.experts = Experts(dim, num_experts, dim_head, heads, dropout, flash_attn, prenorm)

    def forward(
        self,
        x: Tensor,  # (B, T, dim)
        rotary_emb: Tensor | None = None,  # angles, (T, dim_head)
        num_routed_queries: int | None = None,
        num_routed_key_values: int | None = None,
        *,
        mask: Tensor | None = None,  # bool, True = attend: keys (B, T)
    ) -> Tensor:
        return self.attend(x, rotary_emb, num_routed_queries, num_routed_key_values, mask, False)[0]

    def attend(
        self, x, rotary_emb, num_routed_queries, num_routed_key_values, mask, need_weights
    ) -> tuple[Tensor, Tensor | None]:
        """`forward`, and on request the weights of the local branch (B, H, T, T)."""
        B, T, _ = x.shape
        device = self.null_tokens.device
        checks.sequence("x", x, self.dim, device)
        checks.positive(
            num_routed_queries=num_routed_queries, num_routed_key_values=num_routed_key_values
        )
        if mask is not None:
            checks.key_mask(mask, B, T, T, device)
            if mask.ndim == 3:
                raise ValueError(
                    f"mask: expected keys of shape ({B}, {T}) (routing has no pairs), given "
                    f"{tuple(mask.shape)}"
                )
        if rotary_emb is not None and rotary_emb.shape != (T, self.dim_head):
            raise ValueError(
                f"rotary_emb: expected shape ({T}, {self.dim_head}) = (T, dim_head), given "
                f"{tuple(rotary_emb.shape)}"
            )
        q, k, v = self.to_qkv(self.local_norm(x)).unflatten(-1, (3, self.heads, -1)).unbind(dim=2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (B, H, T, K)
        near, weights = self.local_attn.attend(q, k, v, mask, need_weights=need_weights)
        out = self.to_out(near.transpose(1, 2).flatten(2))
        if self.routed_window_size < T:
            far = self.routed(
                x,
                torch.ones(B, T, dtype=torch.bool, device=device) if mask is None else mask,
                rotary_emb,
                num_routed_queries or self.num_routed_queries,
                num_routed_key_values or self.num_routed_key_values,
            )
            out = out + far
            if self.average_routed:
                out = out / (len(self.null_tokens) + 1)
        return out, weights

    def routed(self, x: Tensor, mask: Tensor, rotary_emb, n_queries: int, n_keys: int) -> Tensor:
        """The sum of the experts, (B, T, D), zero in the first window, which has no past."""
        B, T, D = x.shape
        E, w = len(self.null_tokens), self.routed_window_size
        fill = -T % w
        x, mask = F.pad(x, (0, 0, 0, fill)), F.pad(mask.expand(B, -1), (0, fill))
        n = x.shape[1] // w - 1  # windows with a past
        S = n * w  # keys

        query_scores = (self.query_router.routing_token @ x[:, w:].mT).unflatten(-1, (n, w))
        query_scores = query_scores.transpose(1, 2)  # (B, n, E, w)
        query_mask = mask[:, None, w:].unflatten(-1, (n, w)).transpose(1, 2)  # (B, n, 1, w)
        key_scores = (self.key_value_router.routing_token @ x[:, :S].mT)[:, None]  # (B, 1, E, S)
        first = w * torch.arange(1, n + 1, device=x.device)[:, None]  # position of a window, (n, 1)
        past = torch.arange(S, device=x.device) < first
        key_mask = (mask[:, None, :S] & past)[:, :, None]  # (B, n, 1, S)

        rows, gates, chosen = self.query_router(query_scores, n_queries, query_mask)
        rows_at = rows + first[..., None]  # (B, n, E, routed)
        columns, key_gates, key_chosen = self.key_value_router(
            key_scores.expand(-1, n, -1, -1), n_keys, key_mask
        )
        batch = torch.arange(B, device=x.device)[:, None, None, None]
        queries, keys = x[batch, rows_at], x[batch, columns]  # (B, n, E, routed, D)
        rotary = None
        if rotary_emb is not None:
            angles = F.pad(rotary_emb, (0, 0, 0, fill))
            rotary = tuple(angles[i].flatten(0, 1) for i in (rows_at, columns))
        out = self.experts(
            queries.flatten(0, 1),
            keys.flatten(0, 1),
            key_chosen.flatten(0, 1),
            key_gates.flatten(0, 1),
            rotary,
        ).unflatten(0, (B, n))
        null = self.null_tokens[:, None].to(out.dtype)  # (E, 1, D)
        out = torch.where(chosen[..., None], out * gates[..., None], null)
        far = null.expand(B, n, E, w, D).scatter(3, rows[..., None].expand_as(out), out)
        far = far.sum(dim=2).flatten(1, 2)  # (B, S, D)
        return F.pad(far, (0, 0, w, 0))[:, :T]
