"""Types of the losses, and what they ask of their arguments."""

import sys
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from l2rclip_lite.errors import InputError

Batch = Float[Tensor, "batch dim"]  # features, one row per image; in the losses of unit length
Texts = Float[Tensor, "rank dim"]
Targets = Int[Tensor, " batch"]
Labels = Float[Tensor, " batch"] | Int[Tensor, " batch"]
Values = Float[Tensor, " rank"]
Scale = float | Float[Tensor, ""]
Loss = Float[Tensor, ""]


def checked_target(target: Tensor, rows: int | None = None, *, values: bool = False) -> Tensor:
    """Return targets as indices of 64 bits; a device is not waited for.

    Bytes or booleans would be a mask in place of indices, and a second axis a table of pairs: both
    give another loss without a word.

    Args:
        target: One per image.
        rows: How many images there are, where that is known.
        values: Whether values of ranks, which may be fractions, do as well as indices.

    Raises:
        InputError: Another shape, another kind of number, or no image.

    Example:
        >>> checked_target(torch.tensor([1, 0], dtype=torch.uint8))
        tensor([1, 0])
        >>> checked_target(torch.tensor([[1.0]]))
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: losses: target is float32[1, 1]; give one whole number per
        image.
        >>> checked_target(torch.tensor([], dtype=torch.long))  # a mean over no image is NaN
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: losses: the batch has no image; give at least one.
    """
    kind = target.dtype
    as_they_are = values and kind.is_floating_point
    is_whole = not (kind.is_floating_point or kind.is_complex or kind == torch.bool)
    one_each = target.ndim == 1 and rows in (None, len(target))
    if not (one_each and (is_whole or as_they_are)):
        shape = f"{str(kind).removeprefix('torch.')}{list(target.shape)}"
        wanted = "number" if values else "whole number"
        images = f" of {rows}" if rows is not None else ""
        raise InputError(f"losses: target is {shape}; give one {wanted} per image{images}.")
    if not len(target):
        raise InputError("losses: the batch has no image; give at least one.")
    return target if as_they_are else target.long()


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuse a setting that is misspelt, which would quietly mean another one."""
    if value not in choices:
        words = ", ".join(map(repr, choices))
        raise InputError(f"losses: {name} is {value!r:.80}; give one of {words}.")


def check_same_shape(left: Tensor, right: Tensor, names: str) -> None:
    """Refuse two shapes that broadcasting would quietly make one."""
    if left.shape != right.shape:
        shapes = f"{list(left.shape)} and {list(right.shape)}"
        raise InputError(f"losses: {names} have the shapes {shapes}; give both the same.")


def check_scale(scale: Scale) -> None:
    """Refuse a scale that is no single number above 0.

    Of a tensor, whose device would be waited for, only the shape is looked at.
    """
    if isinstance(scale, Tensor) and scale.numel() == 1:
        return
    if isinstance(scale, Tensor) or not 0 < scale <= sys.float_info.max:
        raise InputError(f"losses: scale is {scale!r:.80}; give one number above 0.")


def full_precision(x: Tensor) -> Tensor:
    """Return at least fp32: half precision cannot hold the square of a small distance."""
    return x if x.dtype == torch.float64 else x.float()
