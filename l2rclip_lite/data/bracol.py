"""BRACOL: 1,685 real coffee leaves with five levels of severity and the authors' own five folds."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset
from l2rclip_lite.data.fetch import Members, fetch_archive, sha256
from l2rclip_lite.data.files import Folder, Row, read_table, refuse_repeats
from l2rclip_lite.data.listed import dataset_of_rows
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks

ARCHIVE = "https://github.com/esgario/lara2018/archive/a6c38b693094.tar.gz"
SHA256 = {
    "LICENSE": "feb87a2e0c305de3464cc44077da5393c52d8ca6362d37427157d04ec6f4510d",
    "dataset.csv": "1c3491a500c7035ab63d86ec52ef5e4beef4910a6ab1d3b3ff82daafa039749d",
    # over the SHA-256 digests (32 bytes each) of the 1,685 pictures, in the order of dataset.csv
    "leaf": "b910e34d7252f744fc693e8838597ae8db99f0ea077eaf507b53eb1bbaded42a",
}
# The repository has no names for its levels 0 to 4: these words are ours, and so is the template.
NAMES = ("no", "very low", "low", "high", "very high")
TEMPLATE = "a photo of a coffee leaf with {rank} damage"
CARD = Card(
    name="bracol",
    title="BRACOL coffee-leaf severity",
    source="github.com/esgario/lara2018, commit a6c38b693094; also Mendeley Data yy2k5y8mxg v1",
    licence="MIT (repository), CC BY 4.0 (Mendeley release)",
    citation=(
        "Coffee-leaf images and severity labels: BRACOL, by Esgario, Krohling and Ventura (Computers and "
        "Electronics in Agriculture 169, 2020, 105162)."
    ),
    notes=(
        "Images unmodified, 512 x 256: squash them, a centre crop cuts off half of the leaf. Splits follow "
        "the authors' code. The rank words are ours; the authors number the levels 0 to 4. "
        "Rank 0 is exactly the healthy class. A fold tests on 252 images, give or take 2 points."
    ),
    terms="Under either licence nearly anything, with the authors named. No people, nothing medical.",
    leakage=(
        "No picture of fold 1's test has a near duplicate in its training part (16 x 16 difference hash, smallest "
        "distance 44 of 256 bits); which leaves grew on one plant is unknown."
    ),
)


def authors_folds(count: int, fold: int) -> list[str]:
    """The split of the authors' code: shuffle with seed 150, rotate, cut at 70 % and 85 %.

    For fold f the shuffled order starts at (f - 1) * int(n / 5); the first ceil(0.7 n) are train and those up
    to ceil(0.85 n) are val. Source: `classification/utils/customdatasets.py` of github.com/esgario/lara2018.

    Args:
        count: The number of rows n of dataset.csv.
        fold: 1 to 5.

    Returns:
        "train", "val" or "test" for each row.

    Example:
        >>> parts = authors_folds(1685, fold=1)
        >>> [parts.count(name) for name in ("train", "val", "test")], parts[:3]
        ([1180, 253, 252], ['train', 'train', 'train'])
    """
    # The generator of 2019: a new one gives other folds.
    order = np.random.RandomState(150).permutation(count)
    order = np.roll(order, -(fold - 1) * (count // 5))
    parts = ["test"] * count
    for place, index in enumerate(order.tolist()):
        if place < math.ceil(0.85 * count):
            parts[index] = "train" if place < math.ceil(0.7 * count) else "val"
    return parts


def load_bracol(root: str | Path | None = None, fold: int = 1, allow_missing: bool = False) -> OrdinalDataset:
    """Real coffee leaves, severity 0 to 4, in one of the authors' five folds.

    Args:
        root: A folder with `labels.csv` (columns path, label, split, split_fold2 … split_fold5), or with the
            original `dataset.csv` beside `leaf/<id>.jpg` or `images/<id>.jpg`, as `download_bracol` makes it.
        fold: 1 to 5. The five test sets are disjoint.
        allow_missing: Whether to go on without the listed pictures that are not there; the run records them.

    Returns:
        1,180 training, 253 validation and 252 test pictures of 512 x 256.

    Raises:
        InputError: No root, no labels there, a bad row, a missing picture, or a fold that does not exist.

    Example:
        >>> load_bracol()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: bracol: pass root=..., the folder that holds labels.csv or ...
    """
    get = 'to get the data, run l2rclip_lite.data.download_bracol("bracol")'
    if root is None:
        raise InputError(f"bracol: pass root=..., the folder that holds labels.csv or dataset.csv; {get}.")
    if isinstance(fold, bool) or fold not in range(1, 6):
        raise InputError(f"bracol: fold must be 1, 2, 3, 4 or 5, not {fold!r}.")
    folder = Folder(root)
    if os.path.isfile(folder.root / "labels.csv"):  # Path.is_file raises at a name that is too long
        rows = list(_labels_rows(folder, fold))
    elif os.path.isfile(folder.root / "dataset.csv"):
        rows = list(_original_rows(folder, fold))
    else:
        raise InputError(f"bracol: {root} holds neither labels.csv nor dataset.csv; {get}.")
    refuse_repeats(rows)
    ranks = Ranks(NAMES, (0.0, 1.0, 2.0, 3.0, 4.0), TEMPLATE)
    said = (f"the authors' fold {fold} of 1 to 5",)
    return dataset_of_rows(
        "bracol", rows, folder.root, ranks, CARD, allow_missing=allow_missing, protocol=said
    )


def _grade(text: str, where: str) -> int:
    """A severity from 0 to 4."""
    if text not in ("0", "1", "2", "3", "4"):
        raise InputError(f"{where}: the severity {text!r} is none of 0, 1, 2, 3, 4; correct it.")
    return int(text)


def _labels_rows(folder: Folder, fold: int) -> Iterator[Row]:
    """Rows of labels.csv: the folds stand in columns."""
    column = "split" if fold == 1 else f"split_fold{fold}"
    for row, where in read_table(folder.root / "labels.csv", ("path", "label", column)):
        if row[column] not in SPLITS:
            raise InputError(
                f"{where}: the {column} {row[column]!r} is none of {', '.join(SPLITS)}; correct it."
            )
        file = folder.file(row["path"], where)
        yield Row(row["path"], file, _grade(row["label"], where), row[column], where)


def _original_rows(folder: Folder, fold: int) -> Iterator[Row]:
    """Rows of the authors' dataset.csv: the folds follow from the number of rows."""
    pictures = "leaf" if os.path.isdir(folder.root / "leaf") else "images"
    rows = read_table(folder.root / "dataset.csv", ("id", "severity"))
    for (row, where), part in zip(rows, authors_folds(len(rows), fold), strict=True):
        path = f"{pictures}/{row['id']}.jpg"
        yield Row(path, folder.file(path, where), _grade(row["severity"], where), part, where)


def download_bracol(root: str | Path, *, url: str = ARCHIVE) -> Path:
    """Fetch BRACOL from the authors' repository, at one commit, and check every byte that is kept.

    The only function of this module that uses the network. Nothing appears at `root` unless all of it is
    right.

    Args:
        root: The folder to make; it must not exist, or be empty.
        url: The repository as a .tar.gz archive.

    Returns:
        `root`, ready for `load_dataset("bracol", root=...)`.

    Raises:
        InputError: `root` is in use, the archive cannot be fetched, or a file is not the one this project
            knows.
    """
    return fetch_archive("bracol", root, url, _fill)


def _fill(members: Members, folder: Path) -> None:
    """Keep the licence, the labels and the whole leaves, each under a name of our own making."""
    (folder / "leaf").mkdir()
    for path, content in members:
        parts = path.parts[1:]  # the first part is the repository with its commit
        if parts == ("LICENSE",) or parts == ("classification", "dataset", "dataset.csv"):
            target = folder / parts[-1]
        elif parts[:-1] == ("classification", "dataset", "leaf") and parts[-1].endswith(".jpg"):
            target = folder / "leaf" / parts[-1]
        else:
            continue
        with target.open("wb") as opened:
            shutil.copyfileobj(content, opened)
    _check(folder)


def _check(folder: Path) -> None:
    """Compare with the digests of this module; pictures that dataset.csv does not list are removed."""
    for name in ("LICENSE", "dataset.csv"):
        found = sha256("bracol", folder / name)
        if found != SHA256[name]:
            raise InputError(
                f"bracol: the downloaded {name} has SHA-256 {found}, not {SHA256[name]}; try again."
            )
    listed = [f"{row['id']}.jpg" for row, _ in read_table(folder / "dataset.csv", ("id",))]
    total = hashlib.sha256()
    for name in listed:
        total.update(bytes.fromhex(sha256("bracol", folder / "leaf" / name)))
    if total.hexdigest() != SHA256["leaf"]:
        raise InputError(
            f"bracol: the downloaded pictures have SHA-256 {total.hexdigest()}, not {SHA256['leaf']}; "
            "try again."
        )
    for picture in (folder / "leaf").iterdir():
        if picture.name not in set(listed):
            picture.unlink()
