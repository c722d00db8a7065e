"""The windowed kernel: its written-out gradient, mixed precision, and memory that grows with T."""

import pytest
import torch

from focused_attention.attention import build, windows
from focused_attention.attention.windows import blocks, distances, visible, window_attention

NAMES = ["focused", "hybrid", "local", "mixture_autoregressive"]


@pytest.mark.parametrize(
    ("size", "before", "after", "broadcast"),
    [
        (3, 1, 1, (1, 1, 1)),
        (4, 1, 0, (2, 2, 1)),
        (2, 2, 1, (1, 2, None)),
        (8, 0, 1, (2, 1, None)),
    ],
)
@pytest.mark.parametrize("cached", [1, 2**18], ids=["row by row", "all rows at once"])
def test_the_gradient_is_that_of_the_formula(size, before, after, broadcast, cached, monkeypatch):
    monkeypatch.setattr(windows, "CACHED", cached)
    torch.manual_seed(0)
    B, H, T, K = 2, 2, 7, 2
    q, k, v = torch.randn(3, B, H, T, K, dtype=torch.double).requires_grad_().unbind()
    n, W = -(-T // size), (before + 1 + after) * size
    shape = [axis or n for axis in broadcast]
    bias = torch.randn(*shape, size, W, dtype=torch.double, requires_grad=True)
    seen = visible(torch.rand(B, T) < 0.6, T, size, before, after, q.device)
    window = {"size": size, "before": before, "after": after}

    def ours(q, k, v, bias):
        return window_attention(q, k, v, bias, seen, **window)[0]

    assert torch.autograd.gradcheck(ours, (q, k, v, bias))
    weighted, _ = window_attention(q, k, v, bias, seen, **window, need_weights=True)
    torch.testing.assert_close(ours(q, k, v, bias), weighted)


def test_distances_and_visible_agree_with_positions():
    size, before, after, T = 4, 1, 2, 10
    positions = windows.key_positions(T, size, before, after, torch.device("cpu"))
    queries = blocks(torch.arange(T)[None, None, :, None], size)[0, 0, :, :, 0]
    distance = distances(size, before, after, torch.device("cpu"))
    exists = visible(None, T, size, before, after, torch.device("cpu"))[0, 0, :, 0]
    for block, query in enumerate(queries[:-1]):
        assert torch.equal(query[:, None] - positions[block], distance)
        assert torch.equal(exists[block], (positions[block] >= 0) & (positions[block] < T))


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_close_and_trains(name):
    torch.manual_seed(0)
    layer = build(name, dims=32, heads=2)
    x = torch.randn(2, 300, 32)
    mask = torch.arange(300) < torch.tensor([[300], [180]])
    full = layer(x, mask=mask).out
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x, mask=mask).out
    half.float().square().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in layer.parameters())
    if name != "mixture_autoregressive":  # whose routing may tip over
        torch.testing.assert_close(half.float()[mask], full[mask], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", ["focused", "local"])
@pytest.mark.parametrize("causal", [False, True])
def test_what_is_kept_for_the_backward_grows_with_the_length(name, causal):
    layer = build(name, dims=32, heads=2, causal=causal)
    kept = {}
    for T in (600, 2400):
        total = 0

        def count(x):
            nonlocal total
            total += x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            layer(torch.randn(1, T, 32))
        kept[T] = total
    assert kept[2400] < 4.2 * kept[600]
