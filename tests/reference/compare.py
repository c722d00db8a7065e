"""Two ways to the same numbers: compare outputs and every gradient."""

import torch
from torch.testing import assert_close

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}  # single precision


def assert_same(ours, reference, leaves, tolerance=TOLERANCE):
    """Outputs are close, and so are the gradients of a random projection for every named leaf."""
    assert_close(ours, reference, **tolerance)
    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(7))
    direction = direction.to(ours.dtype) / max(1, ours.numel()) ** 0.5
    names, tensors = zip(*leaves.items(), strict=True)
    first, second = (
        torch.autograd.grad((out * direction).sum(), tensors, retain_graph=True, allow_unused=True)
        for out in (ours, reference)
    )
    for name, leaf, a, b in zip(names, tensors, first, second, strict=True):
        a, b = (torch.zeros_like(leaf) if grad is None else grad for grad in (a, b))
        assert_close(a, b, **tolerance, msg=lambda text, name=name: f"gradient of {name}: {text}")
