"""The product of a few vectors and a large matrix, as a decoding step over a large vocabulary."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 2048  # rows of the matrix in one small product
FEW = 64  # vectors: above, one large product is as quick


class PackedProjection:
    """x @ weight.T for inference on a CPU, from a repacked copy of the weight.

    A matrix product repacks its large operand at every call, on one thread, which for a few vectors
    is most of its time. Repacked once in blocks, the same product takes a third to a half of it.
    The copy is made anew when the weight has changed, and is no part of any state dict.
    """

    def __init__(self):
        self.clear()

    def clear(self) -> None:
        self.source: tuple[int, int] | None = None
        self.blocks: Tensor | None = None

    def suits(self, x: Tensor, weight: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and x.shape[:-1].numel() <= FEW
            and weight.shape[0] >= 2 * BLOCK
            and not torch.is_grad_enabled()
            and not weight.is_inference()  # has no version by which a change could be seen
        )

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        """x (..., D), weight (V, D) -> (..., V)."""
        V, D = weight.shape
        source = (weight.data_ptr(), weight._version)
        if source != self.source:
            padded = F.pad(weight, (0, 0, 0, -V % BLOCK))
            self.blocks = padded.view(-1, BLOCK, D).mT.contiguous()  # (V / BLOCK, D, BLOCK)
            self.source = source
        products = x.reshape(-1, D) @ self.blocks  # (V / BLOCK, rows, BLOCK)
        return products.transpose(0, 1).flatten(1)[:, :V].reshape(*x.shape[:-1], V)
