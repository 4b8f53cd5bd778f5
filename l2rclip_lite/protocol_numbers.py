"""Numbers behind the protocols: what an option may be, and how many pictures a long tail asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from l2rclip_lite.errors import InputError

_TINY = 1e-9  # what a floating-point power may be off before it is rounded to a whole number


def ranks_and_share(text: str) -> tuple[int, float]:
    """The two numbers of "10:0.1"."""
    ranks, _, share = str(text).partition(":")
    try:
        return int(ranks), float(share)
    except ValueError:
        raise InputError(
            f"label_shift: write the number of ranks and the share they keep, such as 10:0.1, not {text!r}."
        ) from None


def whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Refuse what is no whole number in its range."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high and value > high):
        up_to = f"from {low} to {high}" if high else f"of {low} or more"
        raise InputError(f"{name} must be a whole number {up_to}, not {value!r}.")


def number(name: str, value: object) -> float:
    """A finite number, as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{name} must be a number, not {value!r}.")
    return value


def tail(head: int, ratio: float, ranks: int) -> list[int]:
    """The sizes n_0 … of a long tail."""
    return [math.floor(head / math.pow(ratio, i / (ranks - 1)) + _TINY) for i in range(ranks)]


def largest_head(counts: Sequence[int], ratio: float) -> int:
    """The largest n_0 whose tail asks no rank for more than it has: n_i < count + 1 for each."""
    last = len(counts) - 1
    return min(
        math.ceil((count + 1 - _TINY) * math.pow(ratio, i / last)) - 1 for i, count in enumerate(counts)
    )


def largest_ratio(counts: Sequence[int]) -> int:
    """The largest whole ratio with a picture at the end of the tail: the steepest tail of a head falls to 1."""
    return max(
        head
        for head in range(1, counts[0] + 1)
        if all(size <= count for size, count in zip(tail(head, head, len(counts)), counts, strict=True))
    )
