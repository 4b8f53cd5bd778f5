"""Where the results of the studies lie."""

from __future__ import annotations

from pathlib import Path

PLACES = ("results", "book/results")  # as a chapter sees it, and from the root of the repository


def find_result(name: str, folder: str = "") -> Path | None:
    """Return a file of results; None where there is none.

    Args:
        name: Such as "matrix.csv".
        folder: Where it lies; empty looks in both places of the repository.
    """
    for place in (folder,) if folder else PLACES:
        file = Path(place, name)
        if file.is_file():
            return file
    return None
