"""The one way into attention: what every mechanism shares stands here once.

Shape alphabet: B batch, T query length, S key length, H heads, D model width, K head width.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention.checks import heads_divide, key_mask, positive, sequence
from focused_attention.attention.positions import rotate, rotations
from focused_attention.attention.state import KeyValueCache, State
from focused_attention.attention.view import Edit, View

NONE: Mapping[str, Tensor] = MappingProxyType({})


class UnsuitedError(ValueError):
    """A mechanism that is asked for what it cannot do: which, and what it lacks."""


class AttentionOutput(NamedTuple):
    """What a layer returns, always: the same three fields whatever was asked."""

    out: Tensor  # (B, T, D); of `combine`, (B, branches * H, T, K)
    weights: Tensor | None = None  # (B, H, T, S); None unless asked for
    losses: Mapping[str, Tensor] = NONE  # auxiliary losses by name, scalars


class Mechanism(nn.Module):
    """An attention mechanism as a layer of width D.

    It is `combine` that makes the mechanism: how q, k and v become an output. Projections, head
    split, decoding state, masks, causality, positions and temperature are done around it; a config
    with a field `base` has its queries and keys rotated (RoPE) where that is not None. What else it
    owns, it makes in `setup`. One that changes more has `projected = False` and its own `forward`.

    Projections are named as in openai/whisper (https://arxiv.org/abs/1706.03762), and the key's has
    no bias. The class attributes say what a mechanism can do; one that is asked for more refuses.
    """

    causal: ClassVar[bool] = True  # can hide the future
    cross: ClassVar[bool] = True  # can attend to another sequence `xa`
    masked: ClassVar[bool] = True  # padding never changes an item's output
    weighted: ClassVar[bool] = True  # has rows of weights to show
    normalised: ClassVar[bool] = True  # which sum to one, or to zero where nothing is seen
    tempered: ClassVar[bool] = True  # has a temperature
    recurrent: ClassVar[bool] = False  # its decoding state does not grow
    projected: ClassVar[bool] = True  # has this class's projections
    branches: ClassVar[int] = 1  # outputs of `combine` that the output projection joins

    # Another mechanism and the settings with which this one, having adopted it, computes the same;
    # or why there are none.
    neutral: ClassVar[tuple[str, dict[str, Any]] | str] = "whisper", {}

    def __init__(
        self,
        config: Any,
        dims: int,
        heads: int,
        causal: bool = False,
        *,
        layer: int = 0,
        depth: int = 1,
    ):
        super().__init__()
        self.config, self.dims, self.heads, self.is_causal = config, dims, heads, causal
        self.layer, self.depth = layer, depth
        self.base: float | None = getattr(config, "base", None)
        self.edit: Edit | None = None  # an intervention on the rows of weights
        self.heat: Tensor | None = None  # (H,) float64; None: 1, nothing is multiplied
        heads_divide(dims, heads, even=self.base is not None)
        positive(base=self.base)
        if self.projected:
            self.query = nn.Linear(dims, dims)
            self.key = nn.Linear(dims, dims, bias=False)
            self.value = nn.Linear(dims, dims)
        self.setup(config)
        if self.projected:
            self.out = nn.Linear(self.branches * dims, dims)

    def setup(self, config: Any) -> None:
        """Check the settings, and make what the mechanism owns beside the projections."""

    def combine(self, q: Tensor, k: Tensor, v: Tensor, view: View) -> AttentionOutput:
        """q (B, H, T, K), k and v (B, H, S, K): rotated, tempered, and with what the state holds.

        A recurrent mechanism is given the keys of this call alone, and its `view.state`.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither combine nor forward")

    def forward(
        self,
        x: Tensor,  # (B, T, D)
        xa: Tensor | None = None,  # (B, S, D); None: self-attention, S = T
        mask: Tensor | None = None,  # bool, True = attend: keys (B, S) or pairs (B, T, S)
        *,
        state: State | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Attend. Raises ValueError for a wrong shape, dtype or device, naming the argument."""
        q, k, v = self.project(x, xa, state)
        view = self.view(x, xa, mask, k, state=state, need_weights=need_weights)
        out, weights, losses = self.combine(q, k, v, view)
        return AttentionOutput(self.out(out.transpose(1, 2).flatten(2)), weights, losses)

    def view(self, x, xa, mask, k, *, state=None, need_weights=False) -> View:
        """What `combine` is told of a call whose keys are k (B, H, S, K)."""
        T, S, cross = x.shape[1], k.shape[2], xa is not None
        if mask is not None:
            key_mask(mask, x.shape[0], T, S, x.device)
        causal, place = self.is_causal and not cross, (self.layer, self.depth)
        return View(x, T, S, mask, causal, cross, *place, state, need_weights, self.edit)

    def project(
        self, x: Tensor, xa: Tensor | None, state: State | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """q (B, H, T, K), k and v (B, H, S, K)."""
        self.check(x, xa)
        cached = isinstance(state, KeyValueCache)
        q = self.split(self.query(x))
        if self.heat is not None:
            q = q / self.heat.to(q)[:, None, None]
        if xa is not None and cached and state.keys is not None:
            return q, state.keys, state.values
        source = x if xa is None else xa
        k, v = self.split(self.key(source)), self.split(self.value(source))
        if xa is None:
            q, k = self.position(q, k, 0 if state is None else state.length)
            if cached:
                k, v = state.append(k, v)
        elif cached:
            state.fill(k, v)
        return q, k, v

    def check(self, x: Tensor, xa: Tensor | None) -> None:
        """Raise ValueError for a wrong width, an empty sequence or a wrong device."""
        device = getattr(self.query.weight, "device", x.device)  # in int8 it is no tensor
        sequence("x", x, self.dims, device)
        if xa is not None:
            if not self.cross:
                raise ValueError(
                    f"xa: expected None ({type(self).__name__} attends to its own sequence), "
                    f"given {tuple(xa.shape)}"
                )
            sequence("xa", xa, self.dims, device)
            if xa.shape[0] != x.shape[0]:
                raise ValueError(f"xa: expected a batch of {x.shape[0]}, given {xa.shape[0]}")

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, K)

    def position(self, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor]:
        """Encode positions into q and k (B, H, T, K), the first of which is at `offset`.

        In self-attention only: two sequences share no positions.
        """
        if self.base is None:
            return q, k
        cos, sin = rotations(offset, *q.shape[2:], self.base, q.dtype, q.device)
        return rotate(q, cos, sin), rotate(k, cos, sin)

    def new_state(self) -> State:
        """An empty decoding state of this layer."""
        return KeyValueCache()

    @property
    def temperature(self) -> Tensor:
        """Of every head, (H,), relative to the mechanism's own: below 1 sharper, above 1 softer."""
        one = torch.ones(self.heads, dtype=torch.float64)
        return one if self.heat is None else self.heat

    @temperature.setter
    def temperature(self, value: float | Tensor) -> None:
        """Set it for all heads or, (H,), for each. At 1 nothing is multiplied at all.

        Raises UnsuitedError for a mechanism without, ValueError for a value that is not positive.
        """
        heads = torch.as_tensor(value, dtype=torch.float64).expand(self.heads)
        if not bool((heads > 0).all()):
            raise ValueError(
                f"temperature: expected positive numbers, given {torch.as_tensor(value).tolist()}"
            )
        neutral = bool((heads == 1).all())
        if not (neutral or self.tempered):
            raise UnsuitedError(f"{type(self).__name__} has no temperature")
        self.heat = None if neutral else heads

    def placed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of an adopted mechanism, by the names and in the shapes they have here.

        A mechanism that has another way to start as the function of its source says so here.
        """
        return weights

    @torch.no_grad()
    def adopt(self, source: "Mechanism") -> Self:
        """Take over another mechanism's weights; what it has not stays as initialised.

        Raises UnsuitedError for weights of the source that find no place.
        """
        own = self.state_dict()
        for name, tensor in self.placed(source.state_dict()).items():
            if name not in own or own[name].shape != tensor.shape:
                raise UnsuitedError(
                    f"{type(self).__name__} cannot adopt {type(source).__name__}: no place for "
                    f"{name} {tuple(tensor.shape)}"
                )
            own[name].copy_(tensor)
        return self


def softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, view: View, mask: Tensor | None, scale: float | None = None
) -> tuple[Tensor, Tensor | None]:
    """softmax(scale q kᵀ) v with rows that see nothing defined as zero.

    q (B, H, T, K), k and v (B, H, S, K), mask broadcastable to (B, H, T, S) or None; the scale is
    1 / sqrt(K). Returns (B, H, T, K) and, if the view needs them, the weights (B, H, T, S).
    """
    T, K = q.shape[-2:]
    scale = K**-0.5 if scale is None else scale
    on_cpu = q.device.type == "cpu"
    decodes = on_cpu and T == 1 and not torch.is_grad_enabled()  # there, fused attention is slower
    if view.explicit or decodes:
        scores = (q * scale) @ k.mT
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(dim=-1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0.0)  # a row that sees nothing is 0, not NaN
        return view.read(weights, v)
    if K < 16 and T > 32 and on_cpu:  # 16 columns multiply quicker than fewer
        q, k, v = (F.pad(x, (0, 16 - K)) for x in (q, k, v))
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :K], None
    seen = mask.any(dim=-1, keepdim=True)  # (B, 1, T, 1)
    if on_cpu and bool(seen.all()):  # as it nearly always is
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)[..., :K], None
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask | ~seen, scale=scale)
    return out[..., :K].masked_fill(~seen, 0.0), None
