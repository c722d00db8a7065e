"""Segments by loops over frames, and attention to them one query at a time."""

import math

import numpy
import torch


def cut_by_loop(levels, quantile, longest):
    """The segment of every one of some frames, as a list."""
    threshold, of, length = numpy.quantile(levels, quantile), [], 0
    for t in range(len(levels)):
        starts = t == 0 or levels[t - 1] > threshold or length == longest
        of.append((of[-1] if of else -1) + int(starts))
        length = 1 if starts else length + 1
    return of


def attend_to_segments(q, k, v, of, shares, places=None):
    """softmax(q k̄ᵀ / √K + log n) v̄ of a query (K,), with shares (n,) of frames k, v (n, K)."""
    scores, values = [], []
    for p in range(max(of) + 1):
        mine = [j for j, own in enumerate(of) if own == p]
        key = (shares[mine, None] * k[mine]).sum(dim=0)
        if places is not None:
            key = key + places[p]
        scores.append(q @ key / math.sqrt(len(q)) + math.log(len(mine)))
        values.append((shares[mine, None] * v[mine]).sum(dim=0))
    return torch.stack(scores).softmax(dim=0) @ torch.stack(values)
