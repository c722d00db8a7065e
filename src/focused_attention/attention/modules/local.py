"""Windowed attention with the documented interface of zeta's `LocalAttention`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks
from focused_attention.attention.positions import rotate, rotations
from focused_attention.attention.windows import distances, visible, window_attention

BASE = 10000.0  # of the rotation's wavelengths, in positions
SELF_SCORE = -5e4  # of a query's own key when queries and keys are shared: a last resort
XPOS_LIMIT = 40.0  # log of the largest xPos factor: two of them stay finite in single precision


class LocalAttention(nn.Module):
    """Windowed softmax attention with the documented interface of zeta's `LocalAttention`.

    https://arxiv.org/abs/1801.10198. The window, for `look_backward=1`, non-causal:

        keys     | block 0 | block 1 | block 2 | block 3 |        a block is window_size frames
        query i  .         [---------i---------]         .        sees its block and one either side
        exact    .      [------------i------------]      .        |i - j| <= look * window_size
                                                                  and inside the blocks seen
        causal   .         [---------i]                           nothing after i

    Any length is defined: the last block may be short, and what lies outside the sequence is not a
    key. So `autopad` changes nothing; it is kept because it is documented. A query that sees
    nothing gets zeros. As in the `local-attention` package, a non-causal query is rotated
    `look_forward` blocks ahead of its key; a projection can undo it. xPos factors are bounded, so
    that they stay finite for any window. `rel_pos_emb_config` is deprecated: its first entry is
    `dim`.

    >>> attend = LocalAttention(window_size=5, causal=True, dim=32)
    >>> q = k = v = torch.randn(1, 103, 32)
    >>> attend(q, k, v).shape
    torch.Size([1, 103, 32])
    """

    def __init__(
        self,
        window_size: int,
        causal: bool = False,
        look_backward: int = 1,
        look_forward: int | None = None,
        dropout: float = 0.0,
        shared_qk: bool = False,
        rel_pos_emb_config: tuple[int, ...] | None = None,
        dim: int | None = None,
        autopad: bool = False,
        exact_windowsize: bool = False,
        scale: float | None = None,
        use_rotary_pos_emb: bool = True,
        use_xpos: bool = False,
        xpos_scale_base: float | None = None,
    ):
        super().__init__()
        checks.positive(window_size=window_size, scale=scale, xpos_scale_base=xpos_scale_base)
        checks.not_negative(look_backward=look_backward, look_forward=look_forward)
        if look_forward is None:
            look_forward = 0 if causal else 1
        if causal and look_forward:
            raise ValueError(f"look_forward: expected 0 when causal, given {look_forward}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), given {dropout!r}")
        if rel_pos_emb_config is not None:
            dim = rel_pos_emb_config[0]
        self.dim = dim if use_rotary_pos_emb else None  # None: positions are not encoded
        if self.dim is not None and (self.dim < 2 or self.dim % 2):
            raise ValueError(f"dim: expected an even width to rotate pairs, given {self.dim}")
        if use_xpos and self.dim is None:
            raise ValueError(
                "use_xpos: expected use_rotary_pos_emb and dim beside it, given neither"
            )
        self.window_size, self.causal, self.exact_windowsize = window_size, causal, exact_windowsize
        self.look_backward, self.look_forward = look_backward, look_forward
        self.dropout, self.shared_qk, self.autopad, self.scale = dropout, shared_qk, autopad, scale
        self.use_xpos = use_xpos
        self.xpos_scale_base = xpos_scale_base or max(1, window_size // 2)

    def forward(
        self,
        q: Tensor,  # (..., T, K)
        k: Tensor,  # (..., T, K)
        v: Tensor,  # (..., T, K)
        mask: Tensor | None = None,  # bool, True = attend: keys (B, T)
        input_mask: Tensor | None = None,  # the same under its other name
        attn_bias: Tensor | None = None,  # (H, window_size, keys of a block), added to the scores
        window_size: int | None = None,  # instead of the default; needs use_xpos
    ) -> Tensor:
        """Attend inside the windows, (..., T, K).

        The leading axes are one batch; a mask (B, T) and a bias of H heads belong to it as
        (B, ...) and (..., H).
        """
        if k.shape != q.shape:
            raise ValueError(f"k: expected the shape of q {tuple(q.shape)}, given {tuple(k.shape)}")
        if v.shape[:-1] != q.shape[:-1]:
            raise ValueError(f"v: expected shape {(*q.shape[:-1], -1)}, given {tuple(v.shape)}")
        for name, x in (("k", k), ("v", v)):
            checks.same_device(name, x, q.device)
        if q.ndim < 3 or not q.shape[-2]:
            raise ValueError(f"q: expected shape (..., T, K) with T >= 1, given {tuple(q.shape)}")
        if self.dim not in (None, q.shape[-1]):
            raise ValueError(f"q: expected head width dim = {self.dim}, given {q.shape[-1]}")
        checks.positive(window_size=window_size)
        if window_size is not None and not self.use_xpos:
            raise ValueError(f"window_size: expected None without use_xpos, given {window_size}")
        size, T = window_size or self.window_size, q.shape[-2]
        mask = input_mask if mask is None else mask
        rows = q.shape[:-2].numel()
        heads = 1 if attn_bias is None else attn_bias.shape[0]
        if mask is not None:
            checks.key_mask(mask, mask.shape[0], T, T, q.device)
            if rows % (mask.shape[0] * heads):
                raise ValueError(
                    f"mask: expected a batch that divides {rows} / {heads} rows of q, given "
                    f"{mask.shape[0]}"
                )
            repeats = rows // heads // mask.shape[0]
            mask = mask.repeat_interleave(repeats, dim=0) if repeats > 1 else mask
        if attn_bias is not None:
            width = (self.look_backward + 1 + self.look_forward) * size
            if attn_bias.shape[1:] != (size, width) or rows % heads:
                raise ValueError(
                    f"attn_bias: expected shape (H, {size}, {width}) with H a divisor of {rows}, "
                    f"given {tuple(attn_bias.shape)}"
                )
            attn_bias = attn_bias[:, None]  # (H, 1, w, W)
        shape = rows // heads, heads, T
        q3, k3, v3 = (x.reshape(*shape, x.shape[-1]) for x in (q, k, v))
        out, _ = self.attend(q3, k3, v3, mask, bias=attn_bias, size=size)
        return out.reshape(v.shape)

    def attend(
        self,
        q: Tensor,  # (B, H, T, K)
        k: Tensor,  # (B, H, T, K)
        v: Tensor,  # (B, H, T, K)
        mask: Tensor | None,  # bool, True = attend: keys (B, T) or pairs (B, T, T)
        *,
        bias: Tensor | None = None,  # broadcastable to (B, H, n, w, W)
        size: int | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The same for separate heads: (B, H, T, K) and, on request, weights (B, H, T, T)."""
        size, T = size or self.window_size, q.shape[2]
        before, after = self.look_backward, self.look_forward
        if self.shared_qk:
            k = F.normalize(k, dim=-1)
        q = q * (q.shape[-1] ** -0.5 if self.scale is None else self.scale)
        if self.dim is not None:
            place = self.dim, BASE, q.dtype, q.device
            q = rotate(q, *rotations(after * size, T, *place))
            k = rotate(k, *rotations(0, T, *place))
        distance = distances(size, before, after, q.device)  # (w, W)
        seen = visible(mask, T, size, before, after, q.device)
        if self.causal:
            seen = seen & (distance >= 0)
        if self.exact_windowsize:
            seen = seen & (distance <= before * size)
            seen = seen if self.causal else seen & (distance >= -after * size)
        if self.shared_qk:
            own = torch.zeros_like(distance, dtype=q.dtype).masked_fill(distance == 0, SELF_SCORE)
            bias = own if bias is None else torch.where(distance == 0, own, bias)
        options = {
            "size": size,
            "before": before,
            "after": after,
            "dropout": self.dropout if self.training else 0.0,
            "need_weights": need_weights,
        }
        if self.use_xpos:
            options["factors"] = self.xpos(size, distance.shape[1], q)
        return window_attention(q, k, v, bias, seen, **options)

    def xpos(self, w: int, W: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Growth of a block's queries (w, K) and decay of its keys (W, K) with their position.

        https://arxiv.org/abs/2212.10554; the positions count from the middle of the block's keys.
        """
        share = torch.arange(0, self.dim, 2, device=like.device) + 0.4 * self.dim
        rate = (share / (1.4 * self.dim)).log() / self.xpos_scale_base  # (K / 2), log per position
        positions = torch.arange(W, device=like.device) - W // 2
        exponents = (positions[:, None] * rate).clamp(-XPOS_LIMIT, XPOS_LIMIT).repeat(1, 2)
        return exponents[W - w :].exp().to(like.dtype), (-exponents).exp().to(like.dtype)
