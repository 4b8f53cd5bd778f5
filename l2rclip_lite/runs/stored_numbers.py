"""Numbers in a file of weights: with 32, 16 or 8 bits, and float32 once they are read."""

from collections.abc import Mapping

import torch
from torch import Tensor

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
SCALE = ".scale"  # ends the name of the step between two of a tensor's 8-bit numbers, by row


def as_int8(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    r"""Return tensors of two axes or more with 8 bits a number, and the step of each row.

    $$q = \operatorname{round}(x / s),\quad s = \max_{\text{row}} |x| / 127$$

    No number moves by more than $s/2$. Other tensors stay as they are.

    Example:
        >>> tensors = as_int8({"weight": torch.tensor([[127.0, -63.6], [0.0, 0.0]])})
        >>> tensors["weight"].tolist(), tensors["weight.scale"].tolist()
        ([[127, -64], [0, 0]], [1.0, 1.0])
        >>> as_float32(tensors)["weight"].tolist()
        [[127.0, -64.0], [0.0, 0.0]]
    """
    stored = {}
    for name, value in tensors.items():
        if value.ndim < 2:
            stored[name] = value
            continue

        largest = value.abs().flatten(1).amax(dim=1)
        scale = torch.where(largest > 0, largest / 127, 1.0)
        steps = value / _by_row(scale, value)
        stored[name] = steps.round().to(torch.int8)
        stored[name + SCALE] = scale
    return stored


def as_float32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file as float32; counters and positions stay whole numbers.

    Args:
        tensors: By name; also on the device "meta".

    Raises:
        ValueError: A number that is not finite, another type, or 8 bits without steps.
    """
    numbers = {}
    for name, value in tensors.items():
        if value.dtype == torch.int64:
            numbers[name] = value
        elif value.dtype == torch.int8:
            scale = _checked(name + SCALE, tensors.get(name + SCALE))
            if scale.shape != value.shape[:1]:
                raise ValueError(f"{name}{SCALE} must be one number for each row of {name}")
            numbers[name] = value.float() * _by_row(scale, value)
        elif not _is_scale(name, tensors):
            numbers[name] = _checked(name, value)
    return numbers


def _is_scale(name: str, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether a tensor is the step of another one."""
    scaled = tensors.get(name.removesuffix(SCALE)) if name.endswith(SCALE) else None
    return scaled is not None and scaled.dtype == torch.int8


def _checked(name: str, value: Tensor | None) -> Tensor:
    """Return a tensor as float32.

    Raises:
        ValueError: None, another type, or a number that is not finite.
    """
    if value is None or value.dtype not in FLOATS or not (value.is_meta or value.isfinite().all()):
        raise ValueError(f"{name} must hold finite numbers of type float32, float16 or bfloat16")
    return value.float()


def _by_row(scale: Tensor, value: Tensor) -> Tensor:
    """Return one number a row, with an axis for each axis of a tensor."""
    return scale.reshape(-1, *[1] * (value.ndim - 1))
