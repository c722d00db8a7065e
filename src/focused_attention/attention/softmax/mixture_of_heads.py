"""Softmax attention in which every position chooses among the heads."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention
from focused_attention.attention.view import View

ROUTERS = ("linear", "norm")
LEAST = 0.05  # deviation of lengths over their mean: of few heads, equal ones have huge gradients


@dataclass(kw_only=True, slots=True)
class Config:
    shared: int | None = None  # heads that every position uses, the first ones; None: half
    top_k: int | None = None  # how many of the other heads it chooses; None: half, at least one
    router: str = "linear"  # one of ROUTERS
    balance: float = 0.01  # of the loss that spreads the choice over the heads
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class MixtureOfHeads(Mechanism):
    """Σ_h g_h head_h W_O,h with gates g of the position: of all shared heads and the chosen others.

    MoH, https://arxiv.org/abs/2410.11842, as in SkyworkAI/MoH. Of `linear` (MoH-DiT `models.py`),
    for training from scratch: chosen g = k softmax(x W_r), over the k largest and zero elsewhere,
    shared g = n softmax(x W_s) of n heads, and both times 2 softmax(x W_0), a part each. Of `norm`
    (MoH-LLaMA3 `modeling_llama.py`), for trained weights: the heads with the longest queries are
    chosen, and g is 1 or 0. In training, the loss is balance E² mean_e(p_e f_e) of E heads to
    choose from, p their mean probability and f how often each is chosen; the paper's is 1/E of it.

    Deviation: the loss is divided by the layers of the stack, as the code's mean over them, and
    leaves padding out where a mask tells it. How `norm` is trained is reconstructed: a gate has the
    gradient of its probability, of which the lengths' deviation is bounded from below by `LEAST`;
    that changes no choice. Cross-attention is an extension. No head is left uncomputed.

    Cost: plain attention's, 2 B T S D multiplications and 4 B H T S bytes of weights (float32) when
    they are asked for, and B T D (H + 2) multiplications for gates (linear) or B T D (norm).

    >>> layer = MixtureOfHeads(Config(router="norm"), dims=32, heads=8)
    >>> x = torch.randn(2, 9, 32)
    >>> layer.gates(x, layer.split(layer.query(x)))[0].sum(dim=-1).unique()  # heads of a position
    tensor([6.], grad_fn=<Unique2Backward0>)
    """

    neutral = "whisper", {"shared": 0, "top_k": 4, "router": "norm"}  # of its four heads

    def setup(self, config):
        checks.choice("router", config.router, ROUTERS)
        checks.not_negative(balance=config.balance)
        H = self.heads
        self.shared = H // 2 if config.shared is None else config.shared
        if not 0 <= self.shared < H:
            raise ValueError(f"shared: expected fewer than the {H} heads, given {self.shared}")
        others = H - self.shared
        self.top_k = max(1, others // 2) if config.top_k is None else config.top_k
        if not 1 <= self.top_k <= others:
            raise ValueError(f"top_k: expected 1 to {others} other heads, given {self.top_k}")
        if config.router == "linear":
            self.choose = nn.Linear(self.dims, others, bias=False)
            sizes = (self.shared, 2) if self.shared else ()
            self.share = nn.ModuleList(nn.Linear(self.dims, n, bias=False) for n in sizes)
            for layer in (self.choose, *self.share):
                nn.init.normal_(layer.weight, std=0.02)

    def combine(self, q, k, v, view):
        out, weights = softmax_attention(q, k, v, view, view.pairs())
        gates, p, chosen = self.gates(view.x, q)
        out = out * gates.to(out.dtype).transpose(1, 2)[..., None]
        if not self.training:
            return AttentionOutput(out, weights)
        return AttentionOutput(out, weights, {"head_balance": self.loss(p, chosen, view)})

    def gates(self, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gates (B, T, H), and of the heads to choose from, probabilities and choices (B, T, E)."""
        precise, k = torch.promote_types(x.dtype, torch.float32), self.top_k
        if self.config.router == "norm":
            logits = self.lengths(q.to(precise))
        else:
            logits = self.choose(x).to(precise)
        p = logits.softmax(dim=-1)
        chosen = torch.zeros_like(p).scatter(-1, p.topk(k, dim=-1).indices, 1.0)
        if self.config.router == "norm":
            shared = torch.ones_like(p[..., :1]).expand(*p.shape[:-1], self.shared)
            return torch.cat((shared, chosen + (p - p.detach())), dim=-1), p, chosen
        gates = k * p * chosen / (p * chosen).sum(dim=-1, keepdim=True)
        if self.shared:
            shared, both = (part(x).to(precise).softmax(dim=-1) for part in self.share)
            parts = self.shared * shared * both[..., :1], gates * both[..., 1:]
            gates = 2 * torch.cat(parts, dim=-1)
        return gates, p, chosen

    def lengths(self, q: Tensor) -> Tensor:
        """Of queries (B, H, T, K), (B, T, E): in standard deviations over heads to choose from."""
        if self.heat is not None:
            q = q * self.heat.to(q)[:, None, None]  # a temperature changes no choice
        norms = q[:, self.shared :].norm(dim=-1).transpose(1, 2)
        spread = norms.std(dim=-1, keepdim=True, correction=min(1, norms.shape[-1] - 1))
        least = LEAST * norms.mean(dim=-1, keepdim=True)
        return norms / torch.maximum(spread, least).clamp(min=1e-6)

    def loss(self, p: Tensor, chosen: Tensor, view: View) -> Tensor:
        rows, mask = p.new_ones(p.shape[:2]), view.mask
        if mask is not None and mask.ndim == 2 and mask.shape[1] == view.T and not view.cross:
            rows = mask.to(p.dtype).expand_as(rows)
        share = rows[..., None] / rows.sum().clamp(min=1)
        mean_p, mean_chosen = ((of * share).sum(dim=(0, 1)) for of in (p, chosen))
        scale = self.config.balance / self.depth
        return scale * p.shape[-1] ** 2 * (mean_p * mean_chosen).mean()
