"""The published attention with updates of its keys, mistakes included: for comparison alone."""

from contextlib import suppress
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.attention import checks


def calculate_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, temperature: float, use_sdpa: bool
) -> Tensor:
    """Fused: causal if there is a mask, whatever it holds, and of no temperature. Else: as told."""
    if use_sdpa:
        with suppress(RuntimeError):
            causal = mask is not None and q.shape[2] > 1
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = q @ k.mT
    if mask is not None:
        rows = columns = min(mask.shape[-2], q.shape[2])
        if mask.ndim == 4:
            columns = min(mask.shape[3], k.shape[2])
        mask = mask[..., :rows, :columns]
        scores[:, :, :rows, :columns] += mask if mask.ndim == 4 else mask[:, None]  # True adds 1
    return (scores / temperature).softmax(dim=-1) @ v


class BaseAttention(nn.Module):
    use_sdpa: ClassVar[bool] = True  # of all at once: they ask this class, not themselves

    def __init__(self, dims: int, head: int, max_dist: int = 512):
        super().__init__()
        checks.heads_divide(dims, head)
        self.head, self.max_dist = head, max_dist  # nothing asks for max_dist

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.head, -1)).transpose(1, 2)  # (B, H, T, K)


class ProjectionModule(BaseAttention):
    """A projection to heads; queries and keys are scaled by K^-1/4."""

    def __init__(self, dims: int, head: int, proj_type: str = "query"):
        super().__init__(dims, head)
        self.scale = (dims // head) ** -0.25 if proj_type != "value" else 1.0
        self.proj = initialised(nn.Linear(dims, dims))

    def forward(self, x: Tensor) -> Tensor:
        return self.split(self.proj(x)) * self.scale


class AttentionCombiner(BaseAttention):
    def __init__(self, dims: int, head: int):
        super().__init__(dims, head)
        self.out = initialised(nn.Linear(dims, dims))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        out = calculate_attention(q, k, v, mask, 1.0, BaseAttention.use_sdpa)
        return self.out(out.transpose(1, 2).flatten(2))


class AdaptiveUpdateAttention(BaseAttention):
    """Global attention, whose keys and values are those of the call before where a cache is given.

    Two predictors then say for each item which to renew. They are compared, and so not trained.
    """

    def __init__(self, dims: int, head: int, max_dist: int = 512):
        super().__init__(dims, head, max_dist)
        self.query_module = ProjectionModule(dims, head, "query")
        self.key_module = ProjectionModule(dims, head, "key")
        self.value_module = ProjectionModule(dims, head, "value")
        self.combiner = AttentionCombiner(dims, head)
        for name in ("key_update_predictor", "value_update_predictor"):
            layers = nn.Linear(dims, dims // 4), nn.ReLU(), nn.Linear(dims // 4, 1), nn.Sigmoid()
            setattr(self, name, nn.Sequential(*layers))
        self.update_threshold = 0.5
        self.stored_key_cache: Tensor | None = None
        self.stored_value_cache: Tensor | None = None

    def renewed(self, module, predictor, stored: Tensor | None, source: Tensor) -> Tensor:
        update = predictor(source.mean(dim=1)) > self.update_threshold  # (B, 1)
        if stored is None:
            return module(source)
        if not update.any():
            return stored
        return torch.where(update[..., None, None].expand_as(stored), module(source), stored)

    def forward(self, x: Tensor, xa=None, mask=None, kv_cache=None) -> Tensor:
        q, source = self.query_module(x), x if xa is None else xa
        if kv_cache is None:
            k, v = self.key_module(source), self.value_module(source)
        else:
            of_key = self.key_module, self.key_update_predictor, self.stored_key_cache
            of_value = self.value_module, self.value_update_predictor, self.stored_value_cache
            k, v = self.renewed(*of_key, source), self.renewed(*of_value, source)
        self.stored_key_cache, self.stored_value_cache = k, v
        return self.combiner(q, k, v, mask=mask)


def initialised(linear: nn.Linear) -> nn.Linear:
    nn.init.normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear
