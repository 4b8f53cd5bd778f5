"""Progress bars on stderr, silent when asked and in notebooks' saved outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], what: str, *, quiet: bool = False, total: int | None = None) -> Iterator[T]:
    """The items, with a bar on stderr that says what is being done.

    Args:
        items: What to go through.
        what: A few words for the person who waits.
        quiet: Show nothing. Nothing is shown either where stderr is not a terminal.
        total: The number of items where `len` does not tell.

    Yields:
        The items, unchanged.
    """
    yield from tqdm(items, desc=what, total=total, disable=quiet or None, leave=False, dynamic_ncols=True)
