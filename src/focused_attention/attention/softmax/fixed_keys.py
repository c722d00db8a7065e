"""Softmax attention whose queries and keys are made of one fixed, natural sequence."""

from dataclasses import dataclass

import torch
from torch import Tensor

from focused_attention.attention import checks
from focused_attention.attention.derived import Derived


@dataclass(kw_only=True, slots=True)
class Config:
    length: int = 2048  # positions of the sequence; after its last one it begins again
    base: float | None = None  # rotate queries and keys (RoPE) with this base; None: do not


class FixedKeys(Derived):
    """softmax((f W_Q) (f W_K)ᵀ / √K) x W_V with f of one real sequence, whatever the input x is.

    FixedSeqQK of Deconstructing Attention, https://arxiv.org/abs/2510.11602, equations 11 and 12:
    the weights are the same for every input, as with noise (`random_keys`), but made of speech or
    text. The first batch in training is it: f is what this layer is given then, the items one after
    the other, and is saved with the weights. A layer that was never trained has noise in its place.

    Deviation: in the paper, layer l reads what the blocks below it make of the sequence as they are
    at any time. A layer is not told that: f stays as it was in the first step, so the blocks below
    should be trained ones. Both directions and cross-attention are extensions; in the latter the
    keys alone are made of f, which is audio then, and the queries of the input.

    Cost: B T S D multiplications for scores and as many for values, (T + S) D² for queries and
    keys of the whole batch, 4 B H T S bytes of weights (float32) when they are asked for.

    >>> layer = FixedKeys(Config(length=16), dims=32, heads=4)
    >>> speech = torch.randn(1, 16, 32)
    >>> out = layer(speech).out
    >>> torch.equal(layer.sequence, speech[0]), layer(speech).out.allclose(out)
    (True, True)
    """

    neutral = "plain attention's queries and keys follow its input, and these never do"

    def setup(self, config):
        checks.positive(length=config.length)
        self.register_buffer("sequence", torch.randn(config.length, self.dims))
        self.register_buffer("heard", torch.tensor(False))

    def forward(self, x, xa=None, mask=None, *, state=None, need_weights=False):
        if self.training and not self.heard:
            self.hear(x, xa, mask)
        return super().forward(x, xa, mask, state=state, need_weights=need_weights)

    @torch.no_grad()
    def hear(self, x: Tensor, xa: Tensor | None = None, mask: Tensor | None = None) -> None:
        """Keep what can be seen of a batch, repeated if it is shorter than the sequence."""
        self.check(x, xa)
        source = x if xa is None else xa
        B, S, _ = source.shape
        if mask is not None:
            checks.key_mask(mask, B, x.shape[1], S, x.device)
            seen = mask if mask.ndim == 2 else mask.any(dim=1)
            source = source[seen.expand(B, S)]
        frames = source.reshape(-1, self.dims)
        if len(frames):
            index = torch.arange(len(self.sequence), device=x.device) % len(frames)
            self.sequence.copy_(frames[index])
            self.heard.fill_(True)

    def places(self, first, count, like):
        index = torch.arange(first, first + count, device=like.device) % len(self.sequence)
        return self.sequence[index].to(like)
