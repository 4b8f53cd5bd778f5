"""What a campaign is told, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Scale:
    """How much to try.

    Args:
        long: Whether this is `make torture`, or its short form for every change.
        seed: Decides every random draw.
        folder: An empty folder to work in.
        data: The folder of the real data sets, where there is one.
    """

    long: bool
    seed: int
    folder: Path
    data: Path | None = None

    def pick(self, *, short: T, long: T) -> T:
        """A size for each form."""
        return long if self.long else short


@dataclass(frozen=True)
class Tried:
    """One class of fault, and what came of it.

    Args:
        name: A word for the results file, unique among all campaigns.
        fault: What was done to the package, in words for a reader.
        promise: What must hold nevertheless.
        cases: How many times it was tried.
        lost: The cases in which it did not hold, a sentence each that lets one repeat it.
        detail: Figures worth keeping, ready for JSON.
    """

    name: str
    fault: str
    promise: str
    cases: int
    lost: tuple[str, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)


Campaign = Callable[[Scale], Iterator[Tried]]
