"""Your own images: a table of labels, or a folder per rank."""

import os
from pathlib import Path

import pandas as pd

from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.table import read_table
from l2rclip_lite.errors import InputError
from l2rclip_lite.images import IMAGE_SUFFIXES

TABLES = (
    ".csv",
    ".tsv",
    ".txt",
    ".parquet",
)  # any other file is not opened: its first line may be a secret
Labels = str | Path | pd.DataFrame


def own_table(root: Path, labels: Labels, columns: dict[str, str]) -> tuple[pd.DataFrame, str]:
    """Somebody's table with our names of columns, and what it is called.

    Args:
        root: What a relative file starts from; it may not lead out of it.
        labels: A file, or a table of pandas.
        columns: For `path`, `label`, `subject` and `split` the name in the table.

    Raises:
        InputError: Another kind of file, one that lies elsewhere or cannot be used, or a column with two roles.
    """
    name = "a DataFrame"
    if not isinstance(labels, pd.DataFrame):
        given = Path(str(labels).replace("\0", "?"))
        labels = root / given  # an absolute one wins
        if given.is_file() and not labels.is_file():
            labels = given.absolute()
        name, below = labels.name, os.path.isfile(labels) and labels.is_relative_to(root)
        outside = below and not Path(os.path.realpath(labels)).is_relative_to(
            os.path.realpath(root)
        )
        if outside or labels.suffix.lower() not in TABLES:
            said = f"name a {', '.join(TABLES)} file in {root}, or one elsewhere by its path"
            raise InputError(f"{labels}: is no table of labels; {said}.")
    if len({*columns.values(), "where"}) <= len(columns):  # the name of our own column
        raise InputError(
            f"csv: rename the column that is twice in {', '.join(columns.values())}, or where."
        )
    advice = ", or name yours: --path-column, --label-column, --group-column, --split-column"
    needed = [column for column in columns.values() if column not in ("group", "split")]
    found = read_table(labels, needed, advice=advice)
    table = pd.DataFrame({key: found[column] for key, column in columns.items() if column in found})
    return table.assign(where=found["where"]), name


def images_by_folder(root: Path) -> tuple[pd.DataFrame, str]:
    """One row for each image in a folder per rank, also below train, val and test, and what the rows are called.

    Raises:
        InputError: There is no such image.
    """
    folders = sorted(path for path in root.glob("*") if path.is_dir() and path.name[0] != ".")
    split = all(path.name in SPLITS for path in folders)
    inside = [path for folder in folders for path in sorted(folder.glob("*/*" if split else "*"))]
    images = [
        path for path in inside if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."
    ]
    if not images:
        lacks = "has neither labels.csv, with the columns path and label, nor a folder of images per rank"
        raise InputError(f"{root}: {lacks}; pass --labels FILE, or another --root.")
    table = pd.DataFrame({"path": [path.relative_to(root).as_posix() for path in images]})
    table["where"], table["label"] = table["path"], [path.parent.name for path in images]
    if split:
        table["split"] = [path.parent.parent.name for path in images]
    return table, f"a folder per rank, {len(inside) - len(images):,} other files left out"
