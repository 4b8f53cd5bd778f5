"""Image aesthetics: 13,316 Flickr photographs in four categories, graded from unacceptable to exceptional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset
from l2rclip_lite.data.benchmarks import LISTS, carve, one_of, rank_index, read_lists, whole_seed
from l2rclip_lite.data.listed import Item, listed_dataset, lists_folder
from l2rclip_lite.data.lists import Entry, read_list
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

CATEGORIES = ("animals", "nature", "people", "urban")
FOLDS: Mapping[str, tuple[int, ...]] = {"official": (0,), "five-fold": (0, 1, 2, 3, 4)}  # protocol: its folds
# The words of the data's authors for their grades 1 to 5; the sentence around them is ours.
NAMES = ("unacceptable", "flawed", "ordinary", "professional", "exceptional")
TEMPLATE = "a photo of {rank} quality"
CARD = Card(
    name="aesthetics",
    title="Image aesthetics, beauty of Flickr photographs",
    source=f"Flickr photographs graded by Schifanella and others, from the authors' list; {LISTS}",
    licence="unknown; the photographs belong to their owners, nothing of it comes with this project",
    citation=(
        "R. Schifanella, M. Redi and L. M. Aiello, An image is worth more than a thousand favorites: surfacing "
        "the hidden beauty of Flickr pictures, International Conference on Web and Social Media, 2015."
    ),
    notes=(
        "The label is the median grade of at least five raters; the five words are the authors'. 15,687 addresses "
        "were published, 13,706 were reported alive by Ord2Seq, 13,316 are in the official lists. The grades are "
        "uneven: 29 of 10,652 training pictures have grade 1, and the nature and urban tests have none, so "
        "every metric must be told that there are five. The majority grade gives an accuracy of 49.62 % on "
        "animals, 65.98 % on nature, 56.22 % on people and 59.41 % on urban. Results of papers that use five "
        "folds are not strictly comparable with the official 80/20 split."
    ),
    terms="For research; the rights lie with the photographers. People can be seen: do not identify them.",
    leakage=(
        "No file name is in training and test, none in two categories. Whether one photographer is in both is unknown."
    ),
)


def ranks() -> Ranks:
    """The five grades, 1 to 5.

    Example:
        >>> ranks().sentences[0], ranks().values
        ('a photo of unacceptable quality', (1.0, 2.0, 3.0, 4.0, 5.0))
    """
    return Ranks(NAMES, (1, 2, 3, 4, 5), TEMPLATE, unit="grade")


def load_aesthetics(
    root: str | Path | None = None,
    lists: str | Path | None = None,
    category: str = "animals",
    protocol: str = "official",
    fold: int = 0,
    seed: int = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Aesthetic grade of the photographs of one category.

    Args:
        root: The folder of the pictures, anywhere below it; None gives counts, but no picture.
        lists: The folder of the official lists; `root/datalists` if None.
        category: "animals", "nature", "people" or "urban".
        protocol: "official" is the 80/20 split of the lists, a tenth of its training part being carved out
            for validation; "five-fold" cuts the whole category 75/5/20 at random, as Ord2Seq describes it.
        fold: 0; 0 to 4 of "five-fold", whose five test parts are disjoint and hold every picture.
        seed: Decides the validation part, and the folds of "five-fold".
        allow_missing: Go on without listed pictures that are not there.

    Returns:
        Three splits.

    Raises:
        InputError: An unknown category, protocol or fold, a list or a picture that is missing, a bad row.

    Example:
        >>> load_aesthetics(category="food")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: aesthetics: category must be one of animals, nature, people, urban, not
        'food'.
    """
    one_of("aesthetics", "category", category, CATEGORIES)
    one_of("aesthetics", "protocol", protocol, FOLDS)
    one_of("aesthetics", f"the fold of {protocol!r}", fold, FOLDS[protocol])
    whole_seed("aesthetics", seed)
    folder = lists_folder("aesthetics", root, lists, "crowdbeauty")
    if protocol == "official":
        files = [folder / f"{category}_{part}.txt" for part in ("train", "test")]
        training, test = ([_item(entry) for entry in entries] for entries in read_lists(files))
        parts, said = carve(training, test, seed)
        said = f"official 80/20 split; {said}"
    else:
        parts, said = _five_fold(folder / f"{category}_datasets.txt", fold, seed)
    done = (f"aesthetics {category}, {said}",)
    return listed_dataset(
        "aesthetics", parts, root, ranks(), CARD, allow_missing=allow_missing, protocol=done
    )


def _five_fold(file: Path, fold: int, seed: int) -> tuple[dict[str, Sequence[Item]], str]:
    """The parts of one fold of a category, and what to say about them."""
    items = [_item(entry) for entry in read_list(file)]
    if len(items) < 5:
        raise InputError(f"{file}: {len(items)} rows cannot be cut in five folds; list more pictures.")
    names = five_folds(len(items), fold, [seed])
    parts: dict[str, Sequence[Item]] = {
        split: [item for item, name in zip(items, names, strict=True) if name == split] for split in SPLITS
    }
    sizes = ", ".join(f"{len(parts[split]):,} {split}" for split in SPLITS)
    return parts, f"random fold {fold} of 0 to 4, 75/5/20 ({sizes}), seed {seed}"


def five_folds(count: int, fold: int, seeds: list[int]) -> list[str]:
    """One of five random cuts 75/5/20; the five test parts are disjoint and hold everything.

    Args:
        count: How many pictures there are, five at least.
        fold: 0 to 4.
        seeds: What the generator starts from; one order serves all folds.

    Returns:
        "train", "val" or "test" for each picture.

    Example:
        >>> [five_folds(100, 2, [0]).count(name) for name in SPLITS]
        [75, 5, 20]
    """
    pieces = np.array_split(np.random.default_rng(seeds).permutation(count), 5)
    others = np.concatenate(pieces[fold + 1 :] + pieces[:fold])  # so that each fold has its own val, too
    parts = ["train"] * count
    for index in pieces[fold]:
        parts[index] = "test"
    for index in others[: max(1, round(0.05 * count))]:
        parts[index] = "val"
    return parts


def _item(entry: Entry) -> Item:
    """The row; grade 1 is rank index 0."""
    return Item(entry.name, rank_index(entry, 1, len(NAMES), "grade"), entry.where)
