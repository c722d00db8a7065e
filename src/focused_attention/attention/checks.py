"""Errors for bad arguments: each names the argument, what was expected and what was given."""

import torch
from torch import Tensor


def positive(**values: float | None) -> None:
    """Raise ValueError for a value that is not above zero; None means "not set" and passes."""
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name}: expected a positive number, given {value!r}")


def not_negative(**values: float | None) -> None:
    """Raise ValueError for a value below zero; None means "not set" and passes."""
    for name, value in values.items():
        if value is not None and not value >= 0:
            raise ValueError(f"{name}: expected zero or more, given {value!r}")


def choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, given {value!r}")


def heads_divide(dims: int, heads: int, *, even: bool = False) -> None:
    """Raise ValueError unless `heads` divides `dims`, into even widths where pairs are rotated."""
    positive(dims=dims, heads=heads)
    if dims % heads:
        raise ValueError(f"heads: expected a divisor of the width {dims}, given {heads}")
    if even and dims // heads % 2:
        raise ValueError(
            f"heads: expected an even head width (pairs are rotated), given {dims} / {heads} = "
            f"{dims // heads}"
        )


def sequence(name: str, x: Tensor, dims: int, device: torch.device) -> None:
    """Raise ValueError unless x is a non-empty (B, T, dims) on the parameters' `device`."""
    if x.ndim != 3 or x.shape[-1] != dims:
        raise ValueError(f"{name}: expected shape (B, T, {dims}), given {tuple(x.shape)}")
    if not x.shape[1]:
        raise ValueError(f"{name}: expected at least one position, given {tuple(x.shape)}")
    same_device(name, x, device)


def key_mask(mask: Tensor, B: int, T: int, S: int, device: torch.device) -> None:
    """Raise ValueError unless mask is bool, (B, S) or (B, T, S), on `device`; B may be 1."""
    if mask.dtype != torch.bool:
        raise ValueError(f"mask: expected dtype torch.bool (True = attend), given {mask.dtype}")
    if mask.shape[1:] not in ((S,), (T, S)) or mask.shape[0] not in (1, B):
        raise ValueError(
            f"mask: expected shape ({B}, {S}) or ({B}, {T}, {S}), given {tuple(mask.shape)}"
        )
    same_device("mask", mask, device)


def same_device(name: str, x: Tensor, device: torch.device) -> None:
    if x.device != device:
        raise ValueError(f"{name}: expected device {device}, given {x.device}")
