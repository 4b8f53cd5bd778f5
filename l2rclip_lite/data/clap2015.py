"""CLAP2015 (ChaLearn LAP): 4,691 faces with their apparent age, each the mean of several guesses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset
from l2rclip_lite.data.benchmarks import FACES, LISTS, carve, one_of, rank_index, whole_seed
from l2rclip_lite.data.listed import Item, listed_dataset, lists_folder
from l2rclip_lite.data.lists import Entry, read_list
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

YOUNGEST, OLDEST = 3, 85
PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "test": ("train", "val"),
    "val": ("train",),
}  # tested on: learned from
CARD = Card(
    name="clap2015",
    title="CLAP2015 (ChaLearn LAP), apparent age of faces",
    source=f"ChaLearn Looking at People challenge, 2015; {LISTS}",
    licence="unknown; ask ChaLearn, nothing of it comes with this project",
    citation=(
        "S. Escalera and others, ChaLearn Looking at People 2015: apparent age and cultural event recognition "
        "datasets and results, ICCV Workshops, 2015."
    ),
    notes=(
        "Whole mean ages, 3 to 82 in train, 5 to 85 in val, 4 to 69 in test; nobody is 77, 81, 83 or 84. "
        "Each picture has the standard deviation of its votes (0.70 to 7.16, mean 4.03 years), which the "
        "epsilon-error needs. Papers test on val after training on train, or on test after training on both: "
        "say which."
    ),
    terms=f"{FACES} The label is how old strangers guessed a person to be, not how old that person is.",
    leakage="The lists do not say who is shown: whether a person is in training and test is unknown.",
)


def ranks() -> Ranks:
    """The 83 ages.

    Example:
        >>> ranks().sentences[0], len(ranks())
        ('a photo of a three years old face', 83)
    """
    return Ranks.integers(YOUNGEST, OLDEST, template="a photo of a {rank} years old face", unit="years")


def load_clap2015(
    root: str | Path | None = None,
    lists: str | Path | None = None,
    protocol: str = "test",
    seed: int = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Apparent age from a face, in years. A tenth of the training part is carved out for validation.

    Protocols after github.com/nhshin-mcl/MWR.

    Args:
        root: The folder of the pictures, anywhere below it; None gives counts, but no picture.
        lists: The folder of the official lists; `root/datalists` if None.
        protocol: "test" learns from the published train and val parts (3,612 pictures) and tests on test
            (1,079); "val" learns from train (2,476) and tests on val (1,136).
        seed: Decides which training pictures become validation.
        allow_missing: Go on without listed pictures that are not there.

    Returns:
        Three splits with the deviation of each label.

    Raises:
        InputError: An unknown protocol, a list or a picture that is missing, a bad row.

    Example:
        >>> load_clap2015(protocol="dev")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: clap2015: protocol must be one of test, val, not 'dev'.
    """
    one_of("clap2015", "protocol", protocol, PROTOCOLS)
    whole_seed("clap2015", seed)
    file = lists_folder("clap2015", root, lists, "clap2015") / "total_2015.csv"
    published: dict[str, list[Item]] = {name: [] for name in SPLITS}
    for entry in read_list(file):
        published[_part(entry)].append(_item(entry))
    training = [item for name in PROTOCOLS[protocol] for item in published[name]]
    if not training or not published[protocol]:
        raise InputError(f"{file}: no row is of the database {protocol!r}, or none to learn from; add rows.")
    parts, said = carve(training, published[protocol], seed)
    learned = " and ".join(PROTOCOLS[protocol])
    done = f"CLAP2015, tested on the published {protocol} part after training on {learned}; {said}"
    return listed_dataset(
        "clap2015", parts, root, ranks(), CARD, allow_missing=allow_missing, protocol=(done,)
    )


def _cell(entry: Entry, column: str) -> str:
    """What stands in a column that this data set needs besides name and label."""
    if column not in entry.cells:
        raise InputError(
            f"{entry.where}: there is no column {column!r}; give the list the header filename,age,stdv,database."
        )
    return entry.cells[column]


def _part(entry: Entry) -> str:
    """Which published part the row belongs to."""
    part = _cell(entry, "database")
    if part not in SPLITS:
        raise InputError(f"{entry.where}: the database {part!r} is none of {', '.join(SPLITS)}; correct it.")
    return part


def _item(entry: Entry) -> Item:
    """The row with its rank and the deviation of the votes."""
    text = _cell(entry, "stdv")
    try:
        deviation = math.nan if "_" in text else float(text)  # Python reads 1_0 as ten
    except ValueError:
        deviation = math.nan
    if not 0 <= deviation < math.inf:
        raise InputError(f"{entry.where}: the stdv {text!r} is no number from 0; correct it.")
    target = rank_index(entry, YOUNGEST, OLDEST, "age")
    return Item(entry.name, target, entry.where, deviation=deviation)
