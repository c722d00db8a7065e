"""The pieces both models are built of: a mechanism slot, the residual block, the decoding cache.

Shape alphabet: B batch, T query length, S key length, H heads, D model width.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from focused_attention import attention
from focused_attention.attention import State


@dataclass(kw_only=True, slots=True)
class Slot:
    """A place in a model that a mechanism fills: its name and its own settings.

    >>> Slot.of({"mechanism": "rotary", "base": 500.0})
    Slot(mechanism='rotary', settings={'base': 500.0})
    """

    mechanism: str
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: "Slot | str | Mapping[str, Any]") -> "Slot":
        """Read a slot as params.yaml writes it: a name, or a mapping with `mechanism` in it.

        Raises ValueError when the mapping does not name a mechanism.
        """
        if isinstance(value, Slot):
            return value
        if isinstance(value, str):
            return cls(mechanism=value)
        settings = dict(value)
        if "mechanism" not in settings:
            raise ValueError(f"slot: expected a 'mechanism' and its settings, given {settings}")
        return cls(mechanism=settings.pop("mechanism"), settings=settings)

    def build(self, **place):
        """The slot's mechanism as a layer at a place; see `attention.build`."""
        return attention.build(self.mechanism, **place, **self.settings)


class Cache:
    """What decoding keeps: per decoder block, the states of both attentions."""

    def __init__(self, blocks: Iterable["ResidualAttentionBlock"]):
        self.attn: list[State] = []
        self.cross_attn: list[State] = []
        for block in blocks:
            self.attn.append(block.attn.new_state())
            self.cross_attn.append(block.cross_attn.new_state())
        self.length = 0  # tokens decoded so far

    def reorder(self, index: Tensor, *, cross: bool = True) -> None:
        """Keep the batch rows `index` (B',).

        `cross=False` leaves the cross-attention as it is: right when rows only change places with
        rows that hear the same audio, as the hypotheses of one beam do.
        """
        for layer in [*self.attn, *self.cross_attn] if cross else self.attn:
            layer.reorder(index)


class BlockOutput(NamedTuple):
    x: Tensor  # (B, T, D)
    weights: Tensor | None  # self-attention, (B, H, T, T)
    cross_weights: Tensor | None  # (B, H, T, S)
    losses: list[dict[str, Tensor]]  # of each attention


class ResidualAttentionBlock(nn.Module):
    """Pre-norm self-attention, optional cross-attention and MLP, named as in openai/whisper."""

    def __init__(
        self,
        dims: int,
        heads: int,
        attn: Slot,
        cross_attn: Slot | None = None,
        causal: bool = False,
        *,
        layer: int = 0,
        depth: int = 1,
    ):
        super().__init__()
        place = {"dims": dims, "heads": heads, "layer": layer, "depth": depth}
        self.attn = attn.build(causal=causal, **place)
        self.attn_ln = nn.LayerNorm(dims)
        self.cross_attn = cross_attn and cross_attn.build(cross=True, **place)
        self.cross_attn_ln = nn.LayerNorm(dims) if cross_attn else None
        self.mlp = nn.Sequential(nn.Linear(dims, 4 * dims), nn.GELU(), nn.Linear(4 * dims, dims))
        self.mlp_ln = nn.LayerNorm(dims)

    def forward(
        self,
        x: Tensor,  # (B, T, D)
        xa: Tensor | None = None,  # (B, S, D)
        mask: Tensor | None = None,  # of x: (B, T), True = attend
        cross_mask: Tensor | None = None,  # of xa: (B, S)
        *,
        state: State | None = None,
        cross_state: State | None = None,
        need_weights: bool = False,
    ) -> BlockOutput:
        attended = self.attn(self.attn_ln(x), None, mask, state=state, need_weights=need_weights)
        x = x + attended.out
        losses, cross_weights = [attended.losses], None
        if self.cross_attn is not None:
            crossed = self.cross_attn(
                self.cross_attn_ln(x), xa, cross_mask, state=cross_state, need_weights=need_weights
            )
            x = x + crossed.out
            losses.append(crossed.losses)
            cross_weights = crossed.weights
        x = x + self.mlp(self.mlp_ln(x))
        return BlockOutput(x, attended.weights, cross_weights, losses)


def sum_by_name(losses: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Add up the auxiliary losses of many attentions."""
    total: dict[str, Tensor] = {}
    for one in losses:
        for name, value in one.items():
            total[name] = total[name] + value if name in total else value
    return total
