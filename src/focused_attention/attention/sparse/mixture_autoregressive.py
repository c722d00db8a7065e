"""Mixture of autoregressive attention: local attention, and experts that see routed keys."""

import dataclasses
from dataclasses import dataclass

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism
from focused_attention.attention.modules.mixture_autoregressive import (
    MixtureOfAutoregressiveAttention,
)


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


class MixtureAutoregressive(Mechanism):
    """`MixtureOfAutoregressiveAttention` as a mechanism. Weights, on request: the local branch's.

    Not offered as causal, because the routing of queries looks ahead within a window.

    >>> layer = MixtureAutoregressive(Config(local_attn_window_size=16), dims=32, heads=4)
    >>> layer(torch.randn(2, 100, 32)).out.shape
    torch.Size([2, 100, 32])
    """

    causal = False
    cross = False
    tempered = False
    projected = False
    neutral = "its local branch has no biases, and its experts add null tokens"

    def setup(self, config):
        settings = dataclasses.asdict(config)
        if settings["dim_head"] is None:
            checks.heads_divide(self.dims, self.heads, even=True)
            settings["dim_head"] = self.dims // self.heads
        self.mixture = MixtureOfAutoregressiveAttention(self.dims, heads=self.heads, **settings)

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        return AttentionOutput(*self.mixture.attend(x, None, None, None, mask, need_weights))
