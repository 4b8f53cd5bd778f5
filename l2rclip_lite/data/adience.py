"""Adience: 17,470 faces of Flickr users in eight groups of age and five folds without a common user."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from l2rclip_lite.data.base import Card, OrdinalDataset
from l2rclip_lite.data.benchmarks import FACES, LISTS, carve, one_of, rank_index, read_lists, whole_seed
from l2rclip_lite.data.listed import Item, listed_dataset, lists_folder
from l2rclip_lite.data.lists import Entry
from l2rclip_lite.ranks import Ranks

FOLDS = (0, 1, 2, 3, 4)
NAMES = (  # 0-2, 4-6, 8-13, 15-20, 25-32, 38-43, 48-53, 60+
    "zero to two",
    "four to six",
    "eight to thirteen",
    "fifteen to twenty",
    "twenty five to thirty two",
    "thirty eight to forty three",
    "forty eight to fifty three",
    "sixty or more",
)
CARD = Card(
    name="adience",
    title="Adience, age group of faces",
    source=f"Adience collection of faces from Flickr albums, from its authors; {LISTS}",
    licence="unknown; ask its authors, nothing of it comes with this project",
    citation=(
        "E. Eidinger, R. Enbar and T. Hassner, Age and gender estimation of unfiltered faces, IEEE "
        "Transactions on Information Forensics and Security 9(12), 2014."
    ),
    notes=(
        "Eight groups with gaps: 0-2, 4-6, 8-13, 15-20, 25-32, 38-43, 48-53, 60+. Report accuracy and MAE in "
        "groups, mean and deviation over the five folds. The majority group gives an accuracy of 37.6, 20.5, "
        "23.6, 31.9 and 28.7 % on folds 0 to 4, the median group an MAE of 1.67 on average. The folder of a "
        "picture is the Flickr user."
    ),
    terms=f"{FACES} The label is the group an annotator chose, not the age of the person.",
    leakage=(
        "No user is in two folds. A user is not a person: an album may show several, and whether a person is "
        "in two albums is unknown."
    ),
)


def ranks() -> Ranks:
    """The eight groups; one step is a group, not a number of years.

    Example:
        >>> ranks().sentences[-1], len(ranks())
        ('a photo of a sixty or more years old face', 8)
    """
    return Ranks(NAMES, tuple(range(8)), template="a photo of a {rank} years old face", unit="groups")


def load_adience(
    root: str | Path | None = None,
    lists: str | Path | None = None,
    fold: int = 0,
    seed: int = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Age group from a face. One fold is the test part; of the other four, users with a tenth are validation.

    Args:
        root: The folder that holds `<user>/<picture>.jpg`, anywhere below it; None gives counts, but no picture.
        lists: The folder of the official lists; `root/datalists` if None.
        fold: 0 to 4, the one to test on.
        seed: Decides which users of the training part become validation.
        allow_missing: Go on without listed pictures that are not there.

    Returns:
        Three splits without a common user; the user is the subject.

    Raises:
        InputError: An unknown fold, a list or a picture that is missing, a bad row.

    Example:
        >>> load_adience(fold=5)
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: adience: fold must be one of 0, 1, 2, 3, 4, not 5.
    """
    one_of("adience", "fold", fold, FOLDS)
    whole_seed("adience", seed)
    folder = lists_folder("adience", root, lists, "adience")
    folds = read_lists([folder / f"simplified_adience_{number}.txt" for number in FOLDS], keep=2)
    training = _items(entry for number in FOLDS if number != fold for entry in folds[number])
    parts, said = carve(training, _items(folds[fold]), seed, by_subject=True)
    done = f"Adience, fold {fold} of 0 to 4 for testing; {said}"
    return listed_dataset(
        "adience", parts, root, ranks(), CARD, allow_missing=allow_missing, protocol=(done,)
    )


def _items(entries: Iterable[Entry]) -> list[Item]:
    """Rows with the user, who is the folder of the picture."""
    last = len(NAMES) - 1
    return [
        Item(entry.name, rank_index(entry, 0, last, "group"), entry.where, entry.name.split("/")[0])
        for entry in entries
    ]
