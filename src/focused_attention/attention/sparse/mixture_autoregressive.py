"""Mixture of autoregressive attention: local attention, and experts that see routed keys."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.routing import coordinate_descent
from focused_attention.attention.sparse.local import LocalAttention


@dataclass(kw_only=True, slots=True)
class Config:
    num_routed_queries: int = 16  # of every window
    num_routed_key_values: int = 16  # of everything before the window
    local_attn_window_size: int = 64  # frames
    routed_window_size: int | None = None  # frames; None: local_attn_window_size
    num_experts: int = 2
    dim_head: int | None = None  # None: width / heads
    dropout: float = 0.0
    use_triton: bool = False
    flash_attn: bool = True
    prenorm: bool = True
    average_routed: bool = False
    n_iters: int = 20  # of the coordinate descent
    fetch_k_ratio: float = 9 / 8  # how many more than asked the descent selects
    eps: float = 0.03  # final temperature of the descent
    eps_init: float = 4.0
    eps_decay: float = 0.7


class Router(nn.Module):
    """Selects positions for every expert, as `colt5-attention`'s `CoordinateDescentRouter`.

    Ties of the saturated scores are broken by the raw scores, so the selection is deterministic.
    """

    def __init__(self, dim: int, num_experts: int, config: Config):
        super().__init__()
        checks.positive(
            n_iters=config.n_iters,
            eps=config.eps,
            eps_init=config.eps_init,
            eps_decay=config.eps_decay,
        )
        if config.fetch_k_ratio < 1:
            raise ValueError(f"fetch_k_ratio: expected at least 1, given {config.fetch_k_ratio}")
        self.config = config
        self.routing_token = nn.Parameter(torch.randn(num_experts, dim))

    def forward(self, s: Tensor, num_tokens: int, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From scores s (..., n): indices, gates (1, or 0 where masked) and mask, each (..., k).

        All n positions where there are no more than num_tokens.
        """
        config, n = self.config, s.shape[-1]
        mask = mask.expand_as(s)
        if n <= num_tokens:
            return torch.arange(n, device=s.device).expand_as(s), torch.ones_like(s), mask
        soft = coordinate_descent(
            s,
            min(num_tokens * config.fetch_k_ratio, n),
            mask=mask,
            n_iters=config.n_iters,
            eps=config.eps,
            eps_init=config.eps_init,
            eps_decay=config.eps_decay,
        )
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

    def __init__(self, dim: int, num_experts: int, dim_head: int, heads: int, config: Config):
        super().__init__()
        inner, bound = dim_head * heads, dim**-0.5
        self.heads, self.dropout, self.flash = heads, config.dropout, config.flash_attn
        self.norm = RMSNorm(dim, num_experts) if config.prenorm else nn.Identity()
        self.context_norm = RMSNorm(dim, num_experts) if config.prenorm else nn.Identity()
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
        config = Config(
            num_routed_queries=num_routed_queries,
            num_routed_key_values=num_routed_key_values,
            local_attn_window_size=local_attn_window_size,
            dropout=dropout,
            flash_attn=flash_attn,
            prenorm=prenorm,
            n_iters=n_iters,
            fetch_k_ratio=fetch_k_ratio,
            eps=eps,
            eps_init=eps_init,
            eps_decay=eps_decay,
        )
        inner = dim_head * heads
        self.dim, self.dim_head, self.heads = dim, dim_head, heads
        self.num_routed_queries = num_routed_queries
        self.num_routed_key_values = num_routed_key_values
        self.routed_window_size = routed_window_size or local_attn_window_size
        self.average_routed = average_routed
        self.local_norm = nn.LayerNorm(dim) if prenorm else nn.Identity()
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.local_attn = LocalAttention(
            local_attn_window_size,
            causal=True,
            dim=dim_head,
            exact_windowsize=True,
            dropout=dropout,
        )
        self.to_out = nn.Linear(inner, dim, bias=False)
        self.query_router = Router(dim, num_experts, config)
        self.key_value_router = Router(dim, num_experts, config)
        self.null_tokens = nn.Parameter(torch.randn(num_experts, dim))
        self.experts = Experts(dim, num_experts, dim_head, heads, config)

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


class MixtureAutoregressive(Mechanism):
    """`MixtureOfAutoregressiveAttention` as a mechanism. Weights, on request: the local branch's.

    Not offered as causal, because the routing of queries looks ahead within a window.

    >>> layer = MixtureAutoregressive(Config(local_attn_window_size=16), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    causal = False
    cross = False

    def __init__(self, config: Config, dims: int, heads: int, causal: bool = False):
        super().__init__()
        if config.dim_head is None:
            checks.heads_divide(dims, heads, even=True)
        self.mixture = MixtureOfAutoregressiveAttention(
            dims,
            config.num_routed_queries,
            config.num_routed_key_values,
            config.local_attn_window_size,
            config.routed_window_size,
            config.num_experts,
            config.dim_head or dims // heads,
            heads,
            config.dropout,
            config.use_triton,
            config.flash_attn,
            config.prenorm,
            config.average_routed,
            config.n_iters,
            config.fetch_k_ratio,
            config.eps,
            config.eps_init,
            config.eps_decay,
        )

    def forward(self, x, xa=None, mask=None, *, cache=None, need_weights=False):
        out, weights = self.mixture.attend(x, None, None, None, mask, need_weights)
        return AttentionOutput(out, weights, {})
