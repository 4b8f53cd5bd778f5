"""What every data set gives: three splits of (image, rank index), the ranks, and a card with its source."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, validate_call
from torch.utils.data import ConcatDataset, Dataset, Subset

from l2rclip_lite.data.map_style import OwnImages
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks, rank_index

SPLITS = ("train", "val", "test")
COLUMNS = ("paths", "targets", "subjects", "deviations")  # of a split, each with one cell per image
Seed = Annotated[int, Field(ge=0)]
# A decorator: pydantic compares arguments with their annotations, and takes no text for a number.
validated = validate_call(config=ConfigDict(strict=True, arbitrary_types_allowed=True))


@dataclass(frozen=True)
class Card:
    """Where a data set comes from and what may be done with it.

    Args:
        name: The name `load_dataset` knows.
        title: One line for a table.
        source: Where the images come from, with a commit or a version.
        licence: The licence of the images, "unknown" if nobody said.
        citation: What to cite.
        notes: What a reader must know before using a number.
        terms: What the images may be used for.
        leakage: What is known to be in training and test at once.

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
        """A JSON-ready copy."""
        return asdict(self)


class Computed(Dataset[Any]):
    """A map-style dataset whose item `i` is computed from item `i` of each column, when it is asked for.

    Args:
        function: What computes an item; of a kind that `DataLoader` can send to its workers.
        columns: Lists or datasets of one length.

    Example:
        >>> Computed(max, [1, 5], [2, 4])[0]
        2
    """

    def __init__(self, function: Callable[..., Any], *columns: Any) -> None:
        self.function, self.columns = function, columns

    def __len__(self) -> int:
        """The number of items."""
        return len(self.columns[0])

    def __getitem__(self, index: int) -> Any:
        """One item."""
        return self.function(*(column[index] for column in self.columns))


@dataclass(eq=False)
class Split(Dataset[tuple[Any, int]]):
    """A map-style dataset of (image, rank index); images are read when asked for.

    Args:
        paths: One name per image, as it appears in the labels file.
        targets: One rank index per image, in [0, K).
        images: `images[i]` is image `i`: a list of PIL images, or a dataset such as `Computed(read_image, files)`.
        subjects: Who or what is shown, the group of each image; None where the data set does not say.
        deviations: Standard deviation of each image's label, in the unit of the ranks; None where unknown.
        transform: What an image passes through before it is given out, such as `model.transform()`.

    Raises:
        ValueError: Columns of different lengths.
        InputError: A target that is no whole number.

    Example:
        >>> from PIL import Image
        >>> split = Split(
        ...     ["a.png", "b.png"], [2, 0], [Image.new("L", (4, 4)), Image.new("L", (8, 8))]
        ... )
        >>> len(split), split.paths[0], split[0][1], split[-1][0].size
        (2, 'a.png', 2, (8, 8))
        >>> split.transform = lambda image: image.size
        >>> split[1]
        ((8, 8), 0)
    """

    paths: Sequence[str]
    targets: Sequence[int]
    images: Any
    subjects: Sequence[str] | None = None
    deviations: Sequence[float] | None = None
    transform: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        """Make tuples of one length of the columns."""
        for name in ("images", *COLUMNS):
            column = getattr(self, name)
            if column is None:
                continue
            if len(column) != len(self.paths):
                raise ValueError(f"{len(self.paths)} paths but {len(column)} {name}")
            if name != "images":
                setattr(self, name, tuple(column))

        self.targets = tuple(map(rank_index, self.targets, self.paths))

    def __len__(self) -> int:
        """The number of images."""
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Any:
        """Image and rank index, or for a slice the smaller split."""
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        position = range(len(self))[index]  # accepts -1, raises IndexError past the end
        image = self.images[position]
        return self.transform(image) if self.transform else image, self.targets[position]

    @classmethod
    def from_dataset(cls, dataset: Any, name: str = "image") -> "Split":
        """Return a map-style dataset of (image, rank index) as a split.

        Its labels are those of its items, whatever else it says of them (`targets`, `labels`).
        Each item is read once to learn its label, and kept while there is room, see `OwnImages`;
        of torchvision's ImageFolder, and parts of one, no file is opened before it is needed.

        Args:
            dataset: It has a length and gives (image, rank index). Where it has `paths`, these are
                the names of its images.
            name: How its images are called if it has no `paths`.

        Raises:
            InputError: An item that is no such pair, or has another label than a whole number.

        Example:
            >>> from PIL import Image
            >>> split = Split.from_dataset([(Image.new("L", (4, 4)), 1)], "mine")
            >>> split.paths, split.targets, split[0][0].size
            (('mine/00000',), (1,), (4, 4))
        """
        if isinstance(dataset, Split):
            return dataset
        images = OwnImages(dataset, name)
        places = range(len(images))
        paths = getattr(dataset, "paths", [f"{name}/{place:05d}" for place in places])
        return cls(paths, [images.label(place) for place in places], images)

    def subset(self, indices: Iterable[int]) -> "Split":
        """The images at these positions, in this order; nothing is read.

        Example:
            >>> from PIL import Image
            >>> split = Split(
            ...     ["a", "b", "c"], [0, 1, 2], [Image.new("L", (side, 1)) for side in (1, 2, 3)]
            ... )
            >>> small = split.subset([2, 0])
            >>> small.paths, small.targets, small[0][0].size
            (('c', 'a'), (2, 0), (3, 1))
        """
        chosen = [int(index) for index in indices]
        given = {name: getattr(self, name) for name in COLUMNS if getattr(self, name) is not None}
        columns: dict[str, Any] = {
            name: [column[i] for i in chosen] for name, column in given.items()
        }
        return replace(self, images=Subset(self.images, chosen), **columns)

    def __add__(self, other: Dataset[tuple[Any, int]]) -> "Split":  # type: ignore[override]
        """This split's images, then the other's; a column that only one of them has is dropped.

        Example:
            >>> from PIL import Image
            >>> one = Split(["a"], [0], [Image.new("L", (1, 1))])
            >>> (one + replace(one, targets=[3])).targets, (one + one)[1][0].size
            ((0, 3), (1, 1))
        """
        other = Split.from_dataset(other)
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            mine, theirs = getattr(self, name), getattr(other, name)
            columns[name] = None if mine is None or theirs is None else mine + theirs
        return replace(self, images=ConcatDataset([self.images, other.images]), **columns)


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
        allow_empty_ranks: Whether a rank may have no training image, as in experiments with unseen ranks.
        upright: Whether its images have an up and a down, so that training may not turn them on their head.
        missing: The files that the data set's lists name and the user does not have.
        protocol: What was done to the published splits, one sentence per step, for the run's record.

    Raises:
        InputError: An empty split, a target outside [0, K), or a rank without a training image.

    Example:
        >>> from PIL import Image
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
        for split in SPLITS:
            part, last = self.split(split), len(self.ranks) - 1
            if not len(part):
                raise InputError(
                    f"{self.name}: the {split} split is empty; give it at least one image."
                )
            for path, target in zip(part.paths, part.targets, strict=True):
                if not 0 <= target <= last:
                    raise InputError(
                        f"{self.name}: {path} has rank {target}, not 0 to {last}; correct it."
                    )
        counts = self.counts("train")
        if 0 in counts and not self.allow_empty_ranks:
            lacks = f"no training image has rank {counts.index(0)} ({self.ranks.names[counts.index(0)]!r})"
            advice = "add some, leave it out, or pass allow_empty_ranks=True (--allow-empty-ranks)"
            raise InputError(f"{self.name}: {lacks}; {advice}.")

    @classmethod
    def from_datasets(
        cls, datasets: Sequence[Any], ranks: Ranks, *, name: str = "own", **fields: Any
    ) -> "OrdinalDataset":
        """Return three map-style datasets of (image, rank index) as one data set.

        Args:
            datasets: Training, validation and test part, each as `Split.from_dataset` takes it.
            ranks: The ranks, lowest first.
            name: What to call it.
            fields: Other fields, such as `allow_empty_ranks=True`.

        Raises:
            InputError: Not three datasets, or a rank that does not exist or has no training image.

        Example:
            >>> from PIL import Image
            >>> part = [(Image.new("RGB", (8, 8)), rank) for rank in (0, 1, 1)]
            >>> ranks = Ranks(("low", "high"), (0.0, 1.0), template="{rank} damage")
            >>> OrdinalDataset.from_datasets((part, part, part), ranks).counts("test")
            [1, 2]
        """
        count = len(datasets) if hasattr(datasets, "__len__") else "another number"
        if count != len(SPLITS):
            raise InputError(
                f"{name}: {count} datasets; give three, for training, validation and test."
            )
        train, val, test = map(Split.from_dataset, datasets, SPLITS)
        card = Card(name, "Your own images")
        return cls(name, train, val, test, ranks, card, **({"upright": True} | fields))

    @property
    def caveat(self) -> str:
        """What no result may be quoted without: that images are missing; else nothing."""
        return f"{len(self.missing):,} listed image(s) missing" if self.missing else ""

    def split(self, name: str) -> "Split":
        """The split called "train", "val" or "test"."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def counts(self, split: str) -> list[int]:
        """How many images each of the K ranks has in the split of this name."""
        return [
            int(count)
            for count in np.bincount(self.split(split).targets, minlength=len(self.ranks))
        ]

    def summary(self) -> str:
        """Source and licence, the ranks, how many images each has, and one line per step of the protocol.

        Example:
            >>> from l2rclip_lite.data import load_dataset
            >>> print(load_dataset("leaves", size=60).summary().splitlines()[-1])
            test      10 images; per rank: 2, 2, 2, 2, 2
        """
        card, ranks = self.card, self.ranks
        lines = [f"data      {card.title}; source: {card.source}; licence: {card.licence}"]
        ends = f"{len(ranks)}, {ranks.names[0]} to {ranks.names[-1]}"
        lines.append(f"ranks     {ends}; as in {ranks.sentences[0]!r}")
        for split in SPLITS:
            counts = ", ".join(f"{count:,}" for count in self.counts(split))
            lines.append(f"{split:<10}{len(self.split(split)):,} images; per rank: {counts}")
        return "\n".join([*lines, *(f"protocol  {step}" for step in self.protocol)])
