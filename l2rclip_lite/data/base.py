"""What every data set gives: three splits of (picture, rank index), the ranks, and a card with its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from PIL import Image

from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

SPLITS = ("train", "val", "test")

FIXTURE = "SYNTHETIC FIXTURE"  # how the record of drawn pictures begins


@dataclass(frozen=True)
class Card:
    """Where a data set comes from and what may be done with it.

    Args:
        name: The name `load_dataset` knows.
        title: One line for a table.
        source: Where the pictures come from, with a commit or a version.
        licence: The licence of the pictures, "unknown" if nobody said.
        citation: What to cite.
        notes: What a reader must know before using a number.
        terms: What the pictures may be used for.
        leakage: What is known to stand in training and test at once.

    Example:
        >>> Card("mine", "My bananas", "my kitchen", "CC0", "none", "").to_dict()["licence"]
        'CC0'
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    notes: str
    terms: str = ""
    leakage: str = ""

    def to_dict(self) -> dict[str, str]:
        """A JSON-ready copy."""
        return asdict(self)


if TYPE_CHECKING:
    _Pictures = Sequence[tuple[Image.Image, int]]
else:  # run-time type checkers look into a subscripted Sequence, and each look would decode a picture
    _Pictures = Sequence


class Split(_Pictures):
    """Pictures with their rank index, read when asked for.

    Args:
        paths: One name a picture, as it stands in the labels file.
        targets: One rank index a picture, in [0, K).
        read: Gives picture `i` as RGB.
        subjects: Who is shown, one name a picture; None where the data set does not say.
        deviations: Standard deviation of each picture's label, in the unit of the ranks; None where unknown.

    Example:
        >>> split = Split(["a.png"], [2], lambda index: Image.new("RGB", (4, 4)))
        >>> len(split), split.paths[0], split[0][1], split[-1][0].size
        (1, 'a.png', 2, (4, 4))
    """

    def __init__(
        self,
        paths: Sequence[str],
        targets: Sequence[int],
        read: Callable[[int], Image.Image],
        *,
        subjects: Sequence[str] | None = None,
        deviations: Sequence[float] | None = None,
    ) -> None:
        """Keep the lists; nothing is read."""
        for name, column in (("targets", targets), ("subjects", subjects), ("deviations", deviations)):
            if column is not None and len(column) != len(paths):
                raise ValueError(f"{len(paths)} paths but {len(column)} {name}")
        self.paths: tuple[str, ...] = tuple(paths)
        self.targets: tuple[int, ...] = tuple(int(target) for target in targets)
        self.subjects: tuple[str, ...] | None = None if subjects is None else tuple(subjects)
        self.deviations: tuple[float, ...] | None = None if deviations is None else tuple(deviations)
        self._read = read

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> tuple[Image.Image, int]: ...
    @overload
    def __getitem__(self, index: slice) -> Split: ...
    def __getitem__(self, index: int | slice) -> tuple[Image.Image, int] | Split:
        """Picture and rank index, or for a slice the smaller split."""
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        position = range(len(self))[index]  # accepts -1, raises IndexError past the end
        return self._read(position), self.targets[position]

    def subset(self, indices: Iterable[int]) -> Split:
        """The pictures at these positions, in this order; nothing is read.

        Example:
            >>> split = Split(["a", "b", "c"], [0, 1, 2], lambda index: Image.new("L", (index + 1, 1)))
            >>> small = split.subset([2, 0])
            >>> small.paths, small.targets, small[0][0].size
            (('c', 'a'), (2, 0), (3, 1))
        """
        chosen = [int(index) for index in indices]
        read = self._read
        return Split(
            [self.paths[index] for index in chosen],
            [self.targets[index] for index in chosen],
            lambda index: read(chosen[index]),
            subjects=None if self.subjects is None else [self.subjects[index] for index in chosen],
            deviations=None if self.deviations is None else [self.deviations[index] for index in chosen],
        )

    def relabel(self, targets: Sequence[int]) -> Split:
        """The same pictures with other rank indices; deviations, which belong to the old labels, are dropped.

        Example:
            >>> split = Split(["a", "b"], [0, 3], lambda index: Image.new("L", (1, 1)), deviations=[1.0, 2.0])
            >>> split.relabel([0, 1]).targets, split.relabel([0, 1]).deviations
            ((0, 1), None)
        """
        return Split(self.paths, targets, self._read, subjects=self.subjects)

    def __add__(self, other: Split) -> Split:
        """This split's pictures, then the other's; a column that only one of them has is dropped.

        Example:
            >>> one = Split(["a"], [0], lambda index: Image.new("L", (1, 1)))
            >>> (one + one.relabel([3])).targets, (one + one)[1][0].size
            ((0, 3), (1, 1))
        """
        first, second, cut = self._read, other._read, len(self)

        def joined(name: str) -> tuple[Any, ...] | None:
            left, right = getattr(self, name), getattr(other, name)
            return None if left is None or right is None else left + right

        return Split(
            self.paths + other.paths,
            self.targets + other.targets,
            lambda index: first(index) if index < cut else second(index - cut),
            subjects=joined("subjects"),
            deviations=joined("deviations"),
        )


@dataclass(frozen=True)
class OrdinalDataset:
    """Three splits over one ordered label space.

    Args:
        name: The name `load_dataset` knows.
        train: What is learned from.
        val: What epochs and settings are chosen on.
        test: What is reported.
        ranks: The K ranks the targets point into.
        card: Source, licence, citation.
        image_size: Suggested side of the towers' input in pixels; None means the towers' own.
        allow_empty_ranks: Whether a rank may have no training image (unseen ranks are an experiment of their
            own).
        upright: Whether its pictures have an up and a down, so that training may not turn them on their head.
        missing: The files that the data set's lists name and the user does not have.
        protocol: What was done to the published splits, one sentence a step, for the run's record.

    Raises:
        InputError: An empty split, a target outside [0, K), a deviation that is no number, or a rank without a
            training image.

    Example:
        >>> blank = lambda index: Image.new("RGB", (8, 8))
        >>> part = Split(["a", "b", "c"], [0, 1, 1], blank)
        >>> ranks = Ranks(("low", "high"), (0.0, 1.0), template="{rank} damage")
        >>> OrdinalDataset("tiny", part, part, part, ranks, Card("tiny", "", "", "", "", "")).counts("train")
        [1, 2]
    """

    name: str
    train: Split
    val: Split
    test: Split
    ranks: Ranks
    card: Card
    image_size: int | None = None
    allow_empty_ranks: bool = False
    upright: bool = False
    missing: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what training or a metric would trip over later."""
        for split in SPLITS:
            part = self.split(split)
            if not len(part):
                raise InputError(f"{self.name}: the {split} split is empty; give it at least one image.")
            for path, target in zip(part.paths, part.targets, strict=True):
                if not 0 <= target < len(self.ranks):
                    raise InputError(
                        f"{self.name}: {path} has rank index {target}, but only 0 to {len(self.ranks) - 1} "
                        "exist; correct the label or add ranks."
                    )
            for path, deviation in zip(part.paths, part.deviations or (), strict=False):
                if not 0 <= deviation < math.inf:
                    raise InputError(
                        f"{self.name}: {path} has the deviation {deviation}; give a finite number, 0 or more."
                    )
        empty = [rank for rank, count in enumerate(self.counts("train")) if not count]
        if empty and not self.allow_empty_ranks:
            raise InputError(
                f"{self.name}: no training image has rank {empty[0]} ({self.ranks.names[empty[0]]!r}); "
                "add some, leave the rank out, or pass allow_empty_ranks=True."
            )

    @property
    def caveat(self) -> str:
        """What no result may be quoted without: that pictures are drawn, or missing; else nothing."""
        drawn = [step for step in self.protocol if step.startswith(FIXTURE)]
        lost = [f"{len(self.missing):,} listed picture(s) missing"] if self.missing else []
        return "; ".join([FIXTURE, *lost] if drawn else lost)

    def split(self, name: str) -> Split:
        """The split called "train", "val" or "test"."""
        if name not in SPLITS:
            raise InputError(f"{self.name}: there is no split {name!r}; choose one of {', '.join(SPLITS)}.")
        part = getattr(self, name)
        assert isinstance(part, Split)
        return part

    def counts(self, split: str) -> list[int]:
        """How many images each of the K ranks has in the split of this name."""
        counts = np.bincount(self.split(split).targets, minlength=len(self.ranks))
        return [int(count) for count in counts]


def stratified(targets: Sequence[int], seed: int) -> list[str]:
    """70/15/15 within every rank, so that each split sees each rank.

    A rank with n images gives max(1, round(0.15 n)) to val and as many to test. Each rank is shuffled by its
    own generator, so that images added to one rank leave the others where they were.

    Args:
        targets: One rank index an image.
        seed: Decides the shuffle.

    Returns:
        "train", "val" or "test" for each image.

    Raises:
        InputError: A rank with fewer than three images.

    Example:
        >>> parts = stratified([0] * 20 + [1] * 4, seed=0)
        >>> [parts.count(name) for name in SPLITS], parts[20:].count("test")
        ([16, 4, 4], 1)
    """
    parts = ["train"] * len(targets)
    places: dict[int, list[int]] = {}
    for index, target in enumerate(targets):
        places.setdefault(target, []).append(index)
    for rank, members in sorted(places.items()):
        if len(members) < 3:
            raise InputError(
                f"a stratified split needs three images of every rank, but rank {rank} has {len(members)}; "
                "add images, or add a split column."
            )
        share = max(1, round(0.15 * len(members)))
        order = np.random.default_rng([seed, rank]).permutation(members).tolist()
        for index in order[:share]:
            parts[index] = "test"
        for index in order[share : 2 * share]:
            parts[index] = "val"
    return parts
