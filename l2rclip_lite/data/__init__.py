"""Data sets by name: generated leaves, real coffee leaves, and your own pictures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from l2rclip_lite.data.base import Card, OrdinalDataset, Split
from l2rclip_lite.data.bracol import download_bracol, load_bracol
from l2rclip_lite.data.csv import load_csv
from l2rclip_lite.data.leaves import load_leaves
from l2rclip_lite.errors import InputError

__all__ = ["Card", "OrdinalDataset", "Split", "download_bracol", "load_dataset"]


def load_dataset(name: str, **options: Any) -> OrdinalDataset:
    """A data set by its name.

    Args:
        name: "leaves" (generated, nothing to download), "bracol" (real coffee leaves), or "csv" (your own).
        options: What the loader of that name takes: see `load_leaves`, `load_bracol`, `load_csv`.

    Returns:
        Three splits, the ranks, and the data card.

    Raises:
        InputError: An unknown name, a misspelt option, or data that cannot be used.

    Example:
        >>> load_dataset("leaves", size=60).counts("train")
        [8, 8, 8, 8, 8]
    """
    loaders: dict[str, Callable[..., OrdinalDataset]] = {
        "leaves": load_leaves,
        "bracol": load_bracol,
        "csv": load_csv,
    }
    if name not in loaders:
        raise InputError(f"there is no data set {name!r}; choose one of {', '.join(loaders)}.")
    valid = list(inspect.signature(loaders[name]).parameters)
    for option in options:
        if option not in valid:
            raise InputError(f"the data set {name!r} has no option {option!r}; it takes {', '.join(valid)}.")
    return loaders[name](**options)
