"""Softmax attention whose output passes a gate that the query's position opens."""

from dataclasses import dataclass

from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.base import AttentionOutput, Mechanism, softmax_attention

GATES = ("elementwise", "headwise")


@dataclass(kw_only=True, slots=True)
class Config:
    gate: str = "elementwise"  # one of GATES: a gate for each number of a head's output, or one
    spread: float = 0.02  # standard deviation of the gate's first weights; 0: all start at 1/2
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class GatedAttention(Mechanism):
    """o ⊙ σ(x W_g) of every head before the output projection, o = softmax(q kᵀ / √K) v.

    https://arxiv.org/abs/2505.06708, as in qiuzh20/gated_attention `modeling_qwen3.py`: x is what
    the queries are made of, also in cross-attention (an extension). A head can be silent without a
    key to rest its weights on, so sinks go.

    Gates start near 1/2. A layer that adopts ungated weights doubles those of its output, so that
    it starts near the function of its source, and with `spread` 0 as that: the authors' 2σ, written
    elsewhere. They found (issue 10) that from there gates hardly move, while the loss jumps where
    random ones are put on a trained model as they are. A small spread is between the two.

    Cost: plain attention's, 2 B T S D multiplications and 4 B H T S bytes of weights (float32) when
    they are asked for, and B T D² multiplications for gates (elementwise) or B T D H (headwise).

    >>> import torch
    >>> layer = GatedAttention(Config(gate="headwise", spread=0), dims=32, heads=4)
    >>> gates = layer.gates(torch.randn(2, 9, 32))
    >>> gates.shape, gates.unique()
    (torch.Size([2, 4, 9, 1]), tensor([0.5000], grad_fn=<Unique2Backward0>))
    """

    neutral = "whisper", {"spread": 0.0}

    def setup(self, config):
        checks.choice("gate", config.gate, GATES)
        checks.not_negative(spread=config.spread)
        self.gate = nn.Linear(self.dims, self.dims if config.gate == GATES[0] else self.heads)
        nn.init.normal_(self.gate.weight, std=config.spread)
        nn.init.zeros_(self.gate.bias)

    def combine(self, q, k, v, view):
        out, weights = softmax_attention(q, k, v, view, view.pairs())
        return AttentionOutput(out * self.gates(view.x), weights)

    def gates(self, x: Tensor) -> Tensor:
        """How far each gate is open, 0 to 1: (B, H, T, K), or (B, H, T, 1) of whole heads."""
        return self.split(self.gate(x)).sigmoid()

    def placed(self, weights):
        if "gate.weight" in weights or "out.weight" not in weights:
            return weights
        return weights | {"out.weight": 2 * weights["out.weight"]}
