"""What every data set has: three splits of (image, rank index), ranks, and a card."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import ConfigDict, Field, validate_call
from torch.utils.data import Dataset

from l2rclip_lite.data.reading import MapStyle, as_rgb, pixel_digest
from l2rclip_lite.errors import InputError, plural
from l2rclip_lite.method.ranks import Ranks, rank_index

SPLITS = ("train", "val", "test")
COLUMNS = ("paths", "targets", "images", "subjects", "deviations")  # of a split, a cell per image
Seed = Annotated[int, Field(ge=0)]
# decorates a function: its arguments are what their annotations say, and a text is no number
validated = validate_call(config=ConfigDict(strict=True, arbitrary_types_allowed=True))


@dataclass(frozen=True)
class Card:
    """Where a data set comes from and what may be done with it.

    Args:
        name: The name `load_dataset` knows.
        title: One line for a table.
        source: Where the images come from, with a commit or a version.
        licence: The licence of the images, "unknown" where it is not stated.
        citation: What to cite.
        notes: What a reader must know before using a number.
        terms: What the images may be used for.
        leakage: What training and test are known to share.

    Example:
        >>> Card("mine", "My bananas", "my kitchen", "CC0").to_dict()["licence"]
        'CC0'
    """

    name: str
    title: str = ""
    source: str = ""
    licence: str = "unknown"
    citation: str = "none"
    notes: str = ""
    terms: str = ""
    leakage: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return a JSON-ready copy."""
        return asdict(self)


@dataclass(frozen=True)
class OwnImage:
    """An image of a map-style dataset of one's own, read anew whenever a split asks for it.

    Args:
        dataset: It gives (image, rank index).
        place: Of the image.
        name: Of the image, for errors.
    """

    dataset: MapStyle
    place: int
    name: str

    def read(self, side: int | None = None) -> Image.Image:
        """Return the image as RGB."""
        return as_rgb(self.dataset[self.place][0], side, f"{self.name}: ")


@dataclass(eq=False)
class Split(Dataset[tuple[Any, int]]):
    """A map-style dataset of (image, rank index); images are read when asked for.

    Args:
        paths: One name per image, as it appears in the labels file.
        targets: One rank index per image, in [0, K).
        images: Image by image, one of Pillow, or what has a method `read(side)`, and maybe
            `digest()`, such as `reading.ImageFile`.
        subjects: Who or what is shown, the group of each image; None where the data set does not
            say.
        deviations: Standard deviation of each image's label, in the unit of the ranks; None where
            unknown.

    Raises:
        InputError: Columns of different lengths, or a target that is no whole number.

    Example:
        >>> split = Split(
        ...     ["a.png", "b.png"], [2, 0], [Image.new("L", (4, 4)), Image.new("L", (8, 8))]
        ... )
        >>> len(split), split.paths[0], split[0][1], split[-1][0].size
        (2, 'a.png', 2, (8, 8))
    """

    paths: Sequence[str]
    targets: Sequence[int]
    images: Sequence[Any]
    subjects: Sequence[str] | None = None
    deviations: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Make tuples of one length of the columns."""
        for name in COLUMNS:
            column = getattr(self, name)
            if column is None:
                continue
            if len(column) != len(self.paths):
                counts = f"{len(self.paths)} paths but {len(column)} {name}"
                raise InputError(f"split: {counts}; give one per image.")
            setattr(self, name, tuple(column))
        self.targets = tuple(map(rank_index, self.targets, self.paths))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Any:
        """Return image and rank index, or for a slice the smaller split."""
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])

        return self.reduced(index, None)

    def reduced(self, index: int, side: int | None) -> tuple[Any, int]:
        """Return image and rank index; of a file no more pixels than a square of `side` needs."""
        image = self.images[index]
        if hasattr(image, "read"):
            image = image.read(side)
        return image, self.targets[index]

    def digest(self, index: int) -> bytes:
        """Return SHA-256 of what an image is: by its method `digest`, else of its pixels.

        `ImageFile` gives that of the bytes of a file, and a generated leaf that of the settings it
        follows from.
        """
        image = self.images[index]
        if hasattr(image, "digest"):
            return image.digest()
        return pixel_digest(as_rgb(self[index][0]))

    @classmethod
    def from_dataset(cls, dataset: MapStyle, name: str = "image") -> "Split":
        """Return a map-style dataset of (image, rank index) as a split.

        Its labels are those of its items, whatever else it says of them (`targets`, `labels`).
        Each item is read for its label, and again when its image is asked for.

        Args:
            dataset: It has a length and gives (image, rank index). Where it has `paths`, these are
                the names of its images.
            name: How its images are called if it has no `paths`.

        Raises:
            InputError: `paths` that cannot be told apart, or an item that is no such pair, or has
                another label than a whole number.

        Example:
            >>> split = Split.from_dataset([(Image.new("L", (4, 4)), 1)], "mine")
            >>> split.paths, split.targets, split[0][0].size
            (('mine/00000',), (1,), (4, 4))
        """
        if isinstance(dataset, Split):
            return dataset

        numbered = [f"{name}/{index:05d}" for index in range(len(dataset))]
        paths = [str(path) for path in getattr(dataset, "paths", numbered)]
        if len(set(paths)) != len(dataset):
            problem = f"{len(set(paths))} different paths for {len(dataset)} images"
            raise InputError(f"{name}: {problem}; give each image its own.")

        labels = []
        images = []
        for place, path in enumerate(paths):
            item = dataset[place]
            if not isinstance(item, tuple | list) or len(item) != 2:
                problem = f"an item is {type(item).__name__}, not (image, rank index)"
                raise InputError(f"{path}: {problem}; give pairs.")
            labels.append(rank_index(item[1], path))
            images.append(OwnImage(dataset, place, path))
        return cls(paths, labels, images)

    def subset(self, indices: Iterable[int]) -> "Split":
        """Return the images at these positions, in this order; nothing is read.

        Example:
            >>> split = Split(
            ...     ["a", "b", "c"], [0, 1, 2], [Image.new("L", (side, 1)) for side in (1, 2, 3)]
            ... )
            >>> small = split.subset([2, 0])
            >>> small.paths, small.targets, small[0][0].size
            (('c', 'a'), (2, 0), (3, 1))
        """
        chosen = [int(index) for index in indices]
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            column = getattr(self, name)
            if column is not None:
                columns[name] = [column[index] for index in chosen]
        return replace(self, **columns)

    def __add__(self, other: MapStyle) -> "Split":  # type: ignore[override]
        """Return this split's images, then the other's; a column of only one of them is dropped.

        Example:
            >>> one = Split(["a"], [0], [Image.new("L", (1, 1))])
            >>> (one + replace(one, targets=[3])).targets, (one + one)[1][0].size
            ((0, 3), (1, 1))
        """
        other = Split.from_dataset(other)
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            first = getattr(self, name)
            second = getattr(other, name)
            columns[name] = None if first is None or second is None else [*first, *second]
        return replace(self, **columns)


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
        allow_empty_ranks: Whether a rank may have no training image, as in experiments with unseen
            ranks.
        upright: Whether its images have an up and a down, so that training may not turn them on
            their head.
        missing: The files that the data set's lists name and the user does not have.
        protocol: What was done to the published splits, one sentence per step, for the run's
            record.

    Raises:
        InputError: An empty split, a target outside [0, K), or a rank without a training image.

    Example:
        >>> part = Split(["a", "b", "c"], [0, 1, 1], [Image.new("RGB", (8, 8))] * 3)
        >>> ranks = Ranks(("low", "high"), (0.0, 1.0), template="{rank} damage")
        >>> OrdinalDataset("tiny", part, part, part, ranks, Card("tiny")).counts("train")
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
        last = len(self.ranks) - 1
        for split in SPLITS:
            part = self.split(split)
            if not len(part):
                problem = f"the {split} split is empty"
                raise InputError(f"{self.name}: {problem}; give it at least one image.")
            for path, target in zip(part.paths, part.targets, strict=True):
                if not 0 <= target <= last:
                    problem = f"{path} has rank {target}, not 0 to {last}"
                    raise InputError(f"{self.name}: {problem}; correct it.")

        counts = self.counts("train")
        if 0 in counts and not self.allow_empty_ranks:
            rank = counts.index(0)
            raise InputError(
                f"{self.name}: no training image has rank {rank} ({self.ranks.names[rank]!r}); "
                "add some, leave it out, or pass allow_empty_ranks=True (--allow-empty-ranks)."
            )

    @classmethod
    def from_datasets(
        cls, datasets: Sequence[MapStyle], ranks: Ranks, *, allow_empty_ranks: bool = False
    ) -> "OrdinalDataset":
        """Return three map-style datasets of (image, rank index) as one data set.

        Args:
            datasets: Training, validation and test part, each as `Split.from_dataset` takes it.
            ranks: The ranks, lowest first.
            allow_empty_ranks: See `OrdinalDataset`.

        Raises:
            InputError: A rank that does not exist or has no training image, or what
                `Split.from_dataset` refuses.

        Example:
            >>> part = [(Image.new("RGB", (8, 8)), rank) for rank in (0, 1, 1)]
            >>> ranks = Ranks(("low", "high"), (0.0, 1.0), template="{rank} damage")
            >>> OrdinalDataset.from_datasets((part, part, part), ranks).counts("test")
            [1, 2]
        """
        train, val, test = map(Split.from_dataset, datasets, SPLITS)
        return cls(
            "own",
            train,
            val,
            test,
            ranks,
            Card("own", "Your own images"),
            allow_empty_ranks=allow_empty_ranks,
            upright=True,
        )

    @property
    def caveat(self) -> str:
        """Return what every result must be quoted with: how many images are missing, if any."""
        if not self.missing:
            return ""
        return f"{plural(len(self.missing), 'listed image')} missing"

    def split(self, name: str) -> "Split":
        """Return the split called "train", "val" or "test"."""
        part: Split = getattr(self, name)
        return part

    def counts(self, split: str) -> list[int]:
        """Return how many images each of the K ranks has in the split of this name."""
        return np.bincount(self.split(split).targets, minlength=len(self.ranks)).tolist()

    def summary(self) -> str:
        """Return source and licence, the ranks, images per rank, and a line per protocol step.

        Example:
            >>> from l2rclip_lite.data import load_dataset
            >>> print(load_dataset("leaves", size=60).summary().splitlines()[-1])
            test      10 images; per rank: 2, 2, 2, 2, 2
        """
        card = self.card
        ranks = self.ranks
        ends = f"{ranks.names[0]} to {ranks.names[-1]}"
        lines = [
            f"data      {card.title}; source: {card.source}; licence: {card.licence}",
            f"ranks     {len(ranks)}, {ends}; as in {ranks.sentences[0]!r}",
        ]
        for split in SPLITS:
            counts = ", ".join(f"{count:,}" for count in self.counts(split))
            images = plural(len(self.split(split)), "image")
            lines.append(f"{split:<10}{images}; per rank: {counts}")
        lines += [f"protocol  {step}" for step in self.protocol]
        return "\n".join(lines)
