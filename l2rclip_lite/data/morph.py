"""MORPH II: 55,134 faces of 13,617 persons, 16 to 77 years old, in the four published protocols."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from l2rclip_lite.data.base import Card, OrdinalDataset
from l2rclip_lite.data.benchmarks import FACES, LISTS, carve, one_of, rank_index, read_lists, whole_seed
from l2rclip_lite.data.listed import Item, listed_dataset, lists_folder
from l2rclip_lite.data.lists import Entry
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

YOUNGEST, OLDEST = 16, 77
FOLDS: Mapping[str, tuple[int, ...]] = {  # protocol: its folds
    "rs-partial": (0, 1, 2, 3, 4),
    "three-fold": (1, 2),
    "random": (0, 1, 2, 3, 4),
    "subject-exclusive": (0, 1, 2, 3, 4),
}
SETTINGS: Mapping[str, str] = {  # what papers call the protocol
    "rs-partial": "the literature's setting A",
    "three-fold": "the literature's setting B",
    "random": "RS, the literature's setting D, the official files named settingC",
    "subject-exclusive": "SE, the literature's setting C, the official files named settingD",
}
CARD = Card(
    name="morph",
    title="MORPH II, age of faces",
    source=f"MORPH Album 2, from its owner on application; {LISTS}",
    licence="the owner's own licence, on application; nothing of it comes with this project",
    citation=(
        "K. Ricanek and T. Tesafaye, MORPH: a longitudinal image database of normal adult age-progression, "
        "International Conference on Automatic Face and Gesture Recognition, 2006."
    ),
    notes=(
        "Ages 16 to 77, 62 ranks; the whole set lacks 72 and 73, and 260 of 55,134 pictures are above 60. "
        "The label is the recorded age, and equals the age in the file name in every row. "
        "The official repository of L2RCLIP swaps two letters: its settingC is the random split that papers "
        "call D (RS), its settingD the person-exclusive split that papers call C (SE); this loader goes by names. "
        "Setting A numbers of different papers may rest on different random splits. "
        "Predicting the training median, 35, gives an MAE of 8.7 to 9.2 years on rs-partial."
    ),
    terms=f"{FACES} The people were photographed when arrested, not as volunteers; the label is the recorded age.",
    leakage=(
        "Persons of the test part who are also in training: rs-partial 75.5 to 78.6 %, three-fold 43.3 and 44.0 %, "
        "random 96.4 to 96.8 %, subject-exclusive 2.3 to 3.1 %. No file name is in both. The five test parts of "
        "rs-partial share 184 to 216 pictures pairwise: repeated hold-out, not cross-validation. "
        "Report subject-exclusive beside the published protocol."
    ),
)
_OFFICIAL: Mapping[str, str] = {  # the letter in the official file names; C and D are swapped there
    "rs-partial": "A",
    "three-fold": "B",
    "random": "C",
    "subject-exclusive": "D",
}
_NAME = re.compile(r"([^_]+)_[0-9]+[MF]([0-9]{1,9})\.\w+")
_LETTERS: Mapping[str, str] = {
    "a": "protocol='rs-partial' is setting A",
    "b": "protocol='three-fold' is setting B",
    "c": "protocol='subject-exclusive' is what papers call C, protocol='random' the official files settingC",
    "d": "protocol='random' is what papers call D, protocol='subject-exclusive' the official files settingD",
}


def ranks() -> Ranks:
    """The 62 ages.

    Example:
        >>> ranks().sentences[0], len(ranks())
        ('a photo of a sixteen years old face', 62)
    """
    return Ranks.integers(YOUNGEST, OLDEST, template="a photo of a {rank} years old face", unit="years")


def load_morph(
    root: str | Path | None = None,
    lists: str | Path | None = None,
    protocol: str = "rs-partial",
    fold: int | None = None,
    seed: int = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Age from a face, in years. A tenth of the training part is carved out for validation.

    Settings after github.com/changsukim-ku/order-learning and github.com/nhshin-mcl/MWR.

    Args:
        root: The folder of the pictures, anywhere below it; None gives counts, but no picture.
        lists: The folder of the official lists; `root/datalists` if None.
        protocol: "rs-partial" (A: 4,394 training and 1,098 test pictures of Europeans), "three-fold" (B: three
            parts of 7,000, one for training and two for testing), "random" (RS: the whole set in five parts,
            one of them for testing) or "subject-exclusive" (SE: the same, each person in one part, nearly).
        fold: 0 to 4; 1 (train on S1) or 2 (train on S2) of "three-fold"; None takes the first.
        seed: Decides which training pictures become validation; whole persons if "subject-exclusive".
        allow_missing: Go on without listed pictures that are not there.

    Returns:
        Three splits with the person of each picture.

    Raises:
        InputError: An unknown protocol or fold, a list or a picture that is missing, a bad row.

    Example:
        >>> load_morph(protocol="B")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: morph: the letter 'B' is ambiguous, because the official files swap C and
        D of the papers; protocol='three-fold' is setting B.
    """
    meant = _LETTERS.get(str(protocol).lower())
    if meant:
        raise InputError(
            f"morph: the letter {protocol!r} is ambiguous, because the official files swap C and D of the "
            f"papers; {meant}."
        )
    one_of("morph", "protocol", protocol, FOLDS)
    fold = FOLDS[protocol][0] if fold is None else fold
    one_of("morph", f"the fold of {protocol!r}", fold, FOLDS[protocol])
    whole_seed("morph", seed)
    training, test = _published(lists_folder("morph", root, lists, "morph"), protocol, fold)
    parts, said = carve(training, test, seed, by_subject=protocol == "subject-exclusive")
    done = f"MORPH II {protocol} ({SETTINGS[protocol]}), fold {fold}; {said}"
    return listed_dataset("morph", parts, root, ranks(), CARD, allow_missing=allow_missing, protocol=(done,))


def _published(folder: Path, protocol: str, fold: int) -> tuple[list[Item], list[Item]]:
    """Training and test part as the lists give them."""
    letter = _OFFICIAL[protocol]
    files = folder / f"setting{letter}"
    if protocol == "rs-partial":
        names = [f"Setting_A_fold{fold}_{part}.txt" for part in ("train", "test")]
        training, test = read_lists([files / name for name in names])
        return _items([training]), _items([test])
    if protocol == "three-fold":
        lists = read_lists([files / f"Setting_B_fold{part}.txt" for part in range(3)])
        learned = fold - 1  # S1 is the file of fold0
        return _items([lists[learned]]), _items(lists[:learned] + lists[learned + 1 :])
    lists = read_lists([files / f"morph_{letter}_{part:02d}.txt" for part in range(5)])
    return _items(lists[:fold] + lists[fold + 1 :]), _items([lists[fold]])


def _items(lists: Sequence[Sequence[Entry]]) -> list[Item]:
    """Rows with the person, after a look whether age and file name agree."""
    items = []
    for entry in (entry for entries in lists for entry in entries):
        target = rank_index(entry, YOUNGEST, OLDEST, "age")
        match = _NAME.fullmatch(entry.name)
        if match is None:
            raise InputError(
                f"{entry.where}: the name {entry.name!r} is not made as 123456_01M25.JPG (person, number, M or F, "
                "age); write the name of a MORPH picture."
            )
        if int(match[2]) != entry.label:
            raise InputError(
                f"{entry.where}: the age is {entry.label:g}, but {match[2]} in the name {entry.name!r}; "
                "correct one of them."
            )
        items.append(Item(entry.name, target, entry.where, match[1]))
    return items
