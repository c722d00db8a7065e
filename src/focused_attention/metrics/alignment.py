"""Cross-attention against exact word boundaries: does a head look where the token is heard?

Shape alphabet: B batch, L target length, S encoder positions, H heads.

Row l of the weights (B, H, L, S) predicts token l + 1, whose source is the segment [start, end) of
encoder positions, start and end (B, L), fractions allowed; -1 or NaN where the token has none, and
every value per token is NaN there. Position s covers [s, s + 1) and its centre is s + ½. Where a
segment is compared with the argmax, it is taken to be at least one position wide: attention cannot
be finer. Weights are normalised as in `sharpness`; among equal ones the first is the argmax.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from focused_attention.metrics.by_head import Moments
from focused_attention.metrics.sharpness import Normalised, normalise

RETRIEVAL = 0.1  # retrieval score above which the paper calls a head a retrieval head


def segment_mass(weights: Tensor | Normalised, start: Tensor, end: Tensor) -> Tensor:
    """Mass inside the token's own segment, (B, H, L); a position partly inside counts partly."""
    p = normalise(weights).p
    start, end = (x[..., None] for x in _segment(start, end))
    left = torch.arange(p.shape[-1], dtype=p.dtype, device=p.device)
    inside = (end.minimum(left + 1) - start.maximum(left)).clamp(0.0, 1.0)  # (B, L, S)
    return torch.einsum("bhls,bls->bhl", p, inside).clamp(max=1.0)


def alignment_error(
    weights: Tensor | Normalised, start: Tensor, end: Tensor, seconds_per_position: float
) -> Tensor:
    """Milliseconds from the centre of the argmax to the token's segment, (B, H, L); 0 inside."""
    offset, half = _argmax_offset(weights, start, end)
    return (offset.abs() - half).clamp(min=0.0) * seconds_per_position * 1000


def mean_offset(
    weights: Tensor | Normalised, start: Tensor, end: Tensor, seconds_per_position: float
) -> Tensor:
    """Milliseconds from the segment's centre to the mean attended position, (B, H, L).

    Signed: negative where the head looks too early.
    """
    p = normalise(weights).p
    centres = torch.arange(p.shape[-1], dtype=p.dtype, device=p.device) + 0.5
    start, end = _segment(start, end)
    return (p @ centres - ((start + end) / 2)[:, None]) * seconds_per_position * 1000


def retrieved(weights: Tensor | Normalised, start: Tensor, end: Tensor) -> Tensor:
    """1 where the centre of the argmax lies in the token's segment, else 0: (B, H, L)."""
    offset, half = _argmax_offset(weights, start, end)
    inside = (-half <= offset) & (offset < half)
    return inside.double().masked_fill(offset.isnan(), math.nan)


def retrieval_score(
    weights: Tensor | Normalised, start: Tensor, end: Tensor, emitted: Tensor | None = None
) -> Tensor:
    """Share of the emitted tokens with a source whose argmax lies on it, (H,).

    emitted: bool (B, L), the tokens that the model gave rightly; None: all. The paper on retrieval
    heads divides by all tokens of the source, https://arxiv.org/abs/2404.15574; divided by those
    emitted, the score of a head does not fall with the recogniser's errors.
    """
    hits = retrieved(weights, start, end)
    if emitted is not None:
        hits = hits.masked_fill(~emitted[:, None], math.nan)
    return hits.nanmean(dim=(0, 2))


def monotonicity(weights: Tensor | Normalised, tokens: Tensor | None = None) -> Tensor:
    """Share of the steps between neighbouring tokens at which the argmax does not go back, (B, H).

    tokens: bool (B, L), the rows that count; None: all. NaN without two neighbours.
    """
    return _forward(weights, tokens).nanmean(dim=-1)


def _segment(start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Segments in float64, NaN where the token has none."""
    absent = ~((start >= 0) & (end > start))
    return start.double().masked_fill(absent, math.nan), end.double().masked_fill(absent, math.nan)


def _argmax(weights: Tensor | Normalised) -> Tensor:
    """The position of the largest weight, (B, H, L); NaN in empty rows."""
    p = normalise(weights).p
    return p.argmax(dim=-1).double().masked_fill(p[..., 0].isnan(), math.nan)


def _argmax_offset(
    weights: Tensor | Normalised, start: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """The argmax's centre from the segment's centre (B, H, L), and half the width (B, 1, L)."""
    start, end = _segment(start, end)
    half = ((end - start) / 2).clamp(min=0.5)
    return _argmax(weights) + 0.5 - ((start + end) / 2)[:, None], half[:, None]


def _forward(weights: Tensor | Normalised, tokens: Tensor | None) -> Tensor:
    """1 where the argmax does not go back from one token to the next, else 0: (B, H, L - 1)."""
    position = _argmax(weights)
    if tokens is not None:
        position = position.masked_fill(~tokens[:, None], math.nan)
    step = position.diff(dim=-1)
    return (step >= 0).double().masked_fill(step.isnan(), math.nan)


@dataclass(kw_only=True, slots=True)
class Alignment:
    """Metrics of one layer's cross-attention, streamed batch by batch, and their sums by utterance.

    `error_ms` is `alignment_error`; `offset_ms` and `absolute_offset_ms` are `mean_offset` with and
    without its sign; `monotone` counts steps between neighbouring tokens that have a segment.
    """

    seconds_per_position: float
    moments: Moments = field(default_factory=Moments, init=False, repr=False)
    sums: list[Tensor] = field(default_factory=list, init=False, repr=False)  # (metrics, 2, B, H)

    @torch.no_grad()
    def update(
        self,
        weights: Tensor,  # (B, H, L, S)
        start: Tensor,  # (B, L) in positions, -1 or NaN: no segment
        end: Tensor,  # (B, L)
        emitted: Tensor | None = None,  # bool (B, L): the tokens that `retrieved` counts
    ) -> None:
        rows = normalise(weights)
        hits = retrieved(rows, start, end)
        if emitted is not None:
            hits = hits.masked_fill(~emitted[:, None], math.nan)
        offset = mean_offset(rows, start, end, self.seconds_per_position)
        metrics = {
            "segment_mass": segment_mass(rows, start, end),
            "error_ms": alignment_error(rows, start, end, self.seconds_per_position),
            "offset_ms": offset,
            "absolute_offset_ms": offset.abs(),
            "retrieved": hits,
            "monotone": _forward(rows, (start >= 0) & (end > start)),
        }
        for metric, values in metrics.items():
            self.moments.add(metric, values)
        sums = [
            torch.stack([values.nansum(dim=-1), (~values.isnan()).sum(dim=-1)])
            for values in metrics.values()
        ]
        self.sums.append(torch.stack(sums).cpu())

    def rows(self) -> list[dict]:
        """One dict a head and metric: {head, metric, mean, std, rows}."""
        return self.moments.rows()

    def utterances(self) -> list[dict]:
        """One dict an utterance, head and metric, in the order given: {..., sum, rows}.

        The mean over a set of utterances is the ratio of their sums, so that whole utterances can
        be resampled: `verdicts.statistics.rate_interval(sum, rows)`.
        """
        if not self.sums:
            return []
        sums = torch.cat(self.sums, dim=2).permute(2, 3, 0, 1)  # (utterances, H, metrics, 2)
        return [
            {"utterance": i, "head": head, "metric": metric, "sum": total, "rows": int(count)}
            for i, utterance in enumerate(sums.tolist())
            for head, metrics in enumerate(utterance)
            for metric, (total, count) in zip(self.moments.sums, metrics, strict=True)
        ]

    def retrieval_heads(self, threshold: float = RETRIEVAL) -> list[int]:
        """Heads whose retrieval score exceeds the threshold."""
        return self.moments.heads_above("retrieved", threshold)
