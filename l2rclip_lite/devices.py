"""Where a finished model computes."""

import torch

from l2rclip_lite.errors import InputError


def usable_device(name: str) -> torch.device:
    """Return a device that this torch can compute on.

    Args:
        name: "cpu", "cuda" or "mps", with a number where there are several, such as "cuda:1".

    Raises:
        InputError: Another word, or a device that is not here.

    Example:
        >>> usable_device("cpu")
        device(type='cpu')
        >>> usable_device("tpu")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: device: 'tpu' is none of cpu, cuda and mps; correct it.
    """
    kind, _, number = name.partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": torch.mps.device_count()}
    if kind not in counts or (number and not number.isdecimal()):
        raise InputError(f"device: {name!r} is none of cpu, cuda and mps; correct it.")
    if int(number or 0) >= counts[kind]:
        raise InputError(f"device: no {name!r} device is visible here; use another device, or cpu.")
    return torch.device(name)
