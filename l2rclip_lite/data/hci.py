"""HCI, historical colour images: 265 photographs of each decade from the 1930s to the 1970s."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset
from l2rclip_lite.data.benchmarks import LISTS, one_of, read_lists, whole_seed
from l2rclip_lite.data.listed import Item, listed_dataset, lists_folder
from l2rclip_lite.data.lists import Entry
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

FOLDS = tuple(range(10))
DECADES = (1930, 1940, 1950, 1960, 1970)
VAL, TEST, WHOLE = 5, 50, 265  # pictures of a decade; the other 210 are for training
CARD = Card(
    name="hci",
    title="HCI, decade of historical colour photographs",
    source=f"Historical Color Images, photographs from Flickr, from its authors; {LISTS}",
    licence="unknown; the photographs belong to their owners, nothing of it comes with this project",
    citation=(
        "F. Palermo, J. Hays and A. A. Efros, Dating historical color images, European Conference on Computer "
        "Vision, 2012."
    ),
    notes=(
        "There is no official split. Protocol of Ord2Seq: 210 training, 5 validation and 50 test pictures a "
        "decade, ten random repeats, mean and deviation of accuracy and of the MAE in decades. Its draws are "
        "not published: ours are seeded and differ from any paper's. Chance is an accuracy of 20 %; the middle "
        "decade gives an MAE of 1.2. Validation has 25 pictures: too few to tell close settings apart."
    ),
    terms="For research; the rights lie with the photographers. People can be seen: do not identify them.",
    leakage=(
        "No file name is in two parts of a repeat, but the test parts of different repeats overlap. Whether two "
        "pictures come from one photographer or one film is unknown."
    ),
)


def ranks() -> Ranks:
    """The five decades, counted from the 1930s, so that an error is one of decades.

    Example:
        >>> ranks().sentences[0], ranks().values
        ('a photo from the 1930s', (0.0, 1.0, 2.0, 3.0, 4.0))
    """
    names = tuple(f"{decade}s" for decade in DECADES)
    return Ranks(names, tuple(range(5)), template="a photo from the {rank}", unit="decades")


def load_hci(
    root: str | Path | None = None,
    lists: str | Path | None = None,
    fold: int = 0,
    seed: int = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Decade from a photograph: 210 training, 5 validation and 50 test pictures a decade, drawn anew each fold.

    A decade with fewer than 265 pictures is cut in proportion, with one picture at least for each part.

    Args:
        root: The folder of the pictures, anywhere below it; None gives counts, but no picture.
        lists: The folder of the official lists; `root/datalists` if None.
        fold: 0 to 9, which of the ten random repeats.
        seed: Decides all ten repeats.
        allow_missing: Go on without listed pictures that are not there.

    Returns:
        Three splits.

    Raises:
        InputError: An unknown fold, a list or a picture that is missing, a bad row.

    Example:
        >>> load_hci(fold=0, seed=-3)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: hci: the seed -3 is no whole number from 0; pass one, such as seed=0.
    """
    one_of("hci", "fold", fold, FOLDS)
    whole_seed("hci", seed)
    folder = lists_folder("hci", root, lists, "hci")
    files = [folder / f"{decade}s.txt" for decade in DECADES]
    parts: dict[str, list[Item]] = {name: [] for name in SPLITS}
    for rank, entries in enumerate(read_lists(files)):
        if len(entries) < 3:
            raise InputError(
                f"{files[rank]}: {len(entries)} rows cannot be cut in three; list three pictures."
            )
        for entry, name in zip(entries, drawn(len(entries), [seed, fold, DECADES[rank]]), strict=True):
            parts[name].append(_item(entry, rank))
    sizes = ", ".join(f"{len(parts[name]):,} {name}" for name in SPLITS)
    done = f"HCI, random repeat {fold} of 0 to 9, every decade cut as 210:5:50 ({sizes}), seed {seed}"
    return listed_dataset("hci", parts, root, ranks(), CARD, allow_missing=allow_missing, protocol=(done,))


def drawn(count: int, seeds: list[int]) -> list[str]:
    """A decade's pictures cut as 210:5:50, val and test rounded, at least one each.

    Args:
        count: How many pictures the decade has, three at least.
        seeds: What the generator starts from.

    Returns:
        "train", "val" or "test" for each picture.

    Example:
        >>> [drawn(265, [0]).count(name) for name in SPLITS], [drawn(24, [0]).count(name) for name in SPLITS]
        ([210, 5, 50], [18, 1, 5])
    """
    val, test = (max(1, round(count * share / WHOLE)) for share in (VAL, TEST))
    parts = np.array(["val"] * val + ["test"] * test + ["train"] * (count - val - test))
    return [str(part) for part in np.random.default_rng(seeds).permutation(parts)]


def _item(entry: Entry, rank: int) -> Item:
    """The row; each list holds one decade."""
    if entry.label != DECADES[rank]:
        raise InputError(
            f"{entry.where}: the label {entry.label:.15g} is not the decade of this list; write {DECADES[rank]}s, "
            "or move the row to its own list."
        )
    return Item(entry.name, rank, entry.where)
