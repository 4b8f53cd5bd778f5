"""Conditions of a study: the same data set in other words, or with other images."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.data.protocols import Changes, apply_protocols
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks


def reworded(
    data: OrdinalDataset,
    *,
    template: str | None = None,
    names: str | None = None,
    seed: int = 0,
    **changes: Unpack[Changes],
) -> OrdinalDataset:
    """Put a data set under another condition: other sentences, then changes of its images.

    Args:
        data: Any data set.
        template: Another sentence with `{rank}` in it.
        names: "digits" calls every rank by its value.
        seed: Of the changes.
        changes: See `protocols.apply_protocols`.

    Raises:
        InputError: A change that cannot be made.

    Example:
        >>> from l2rclip_lite.data import load_dataset
        >>> leaves = load_dataset("leaves", size=60)
        >>> reworded(leaves, template="grade {rank}", names="digits").ranks.sentences[1]
        'grade 1'
    """
    if names not in (None, "digits"):
        raise InputError(f"names: {names!r} is unknown; the only choice is 'digits'.")

    ranks = data.ranks
    if names == "digits":
        digits = tuple(f"{value:g}" for value in ranks.values)
        ranks = Ranks(digits, ranks.values, ranks.template, unit=ranks.unit)
    if template:
        ranks = Ranks(ranks.names, ranks.values, template, unit=ranks.unit)
    if ranks is not data.ranks:
        data = replace(data, ranks=ranks)
    return apply_protocols(data, seed=seed, **changes)
