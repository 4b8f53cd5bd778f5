"""Your own images: a table of labels, or a folder per rank."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from l2rclip_lite.data.base import SPLITS
from l2rclip_lite.data.image_lists import scan_folder
from l2rclip_lite.data.images import IMAGE_SUFFIXES
from l2rclip_lite.data.table import read_columns
from l2rclip_lite.errors import InputError

# any other file is not opened: its first line may be a secret
TABLES = (".csv", ".tsv", ".txt", ".parquet")
LabelTable = str | Path | pd.DataFrame


def own_table(
    root: Path, labels: LabelTable, columns: dict[str, str]
) -> tuple[pd.DataFrame, str, list[str]]:
    """Return a user's table with our names of columns, what to call it, and sentences about it.

    Args:
        root: What a relative file starts from; it may not lead out of it.
        labels: A file, or a table of pandas.
        columns: For `path`, `label`, `subject` and `split` the name in the table. Columns called
            `group` and `split` need not be there.

    Raises:
        InputError: Another kind of file, one that lies elsewhere or cannot be used, or a column
            with two roles.
    """
    _check_roles(columns)
    optional = [name for name in columns.values() if name in ("group", "split")]
    needed = [name for name in columns.values() if name not in optional]

    source = labels if isinstance(labels, pd.DataFrame) else table_file(root, labels)
    table, spellings = read_columns(
        source,
        needed,
        optional,
        advice=", or name yours: --path-column, --label-column, --group-column, --split-column",
    )
    messages = [
        f"the column {spelling!r} is read as {name}"
        for name, spelling in spellings.items()
        if spelling != name.strip()
    ]
    role_of = {name: role for role, name in columns.items()}
    title = "a DataFrame" if isinstance(source, pd.DataFrame) else source.name
    return table.rename(columns=role_of), title, messages


def _check_roles(columns: dict[str, str]) -> None:
    """Refuse a column that is to be read as two things, or has the name of our own column."""
    roles: dict[str, str] = {}
    for role, name in columns.items():
        role = "group" if role == "subject" else role
        column = name.strip().casefold()  # capitals do not tell columns apart
        if column == "where":
            raise InputError("csv: a column called where is not read; rename it.")
        if column in roles:
            raise InputError(
                f"csv: the column {name!r:.80} cannot be both {roles[column]} and {role}; "
                f"name another by {role}_column=... (--{role}-column)."
            )
        roles[column] = role


def table_file(root: Path, labels: str | Path) -> Path:
    """Return the file of labels, in the folder or from here.

    Raises:
        InputError: Another kind of file, or a link that leads out of the folder.
    """
    named = Path(str(labels).replace("\0", "?"))
    file = root / named  # an absolute one wins
    if os.path.isfile(named) and not os.path.isfile(file):
        file = named.absolute()

    real_root = os.path.realpath(root)
    plain = Path(os.path.normpath(file))  # labels may lie beside the folder: ../labels.csv
    inside = os.path.isfile(file) and plain.is_relative_to(os.path.normpath(root))
    outside_by_link = inside and not Path(os.path.realpath(file)).is_relative_to(real_root)
    if outside_by_link or file.suffix.lower() not in TABLES:
        raise InputError(
            f"{file}: is no table of labels; "
            f"name a {', '.join(TABLES)} file in {root}, or one elsewhere by its path."
        )
    return file


def images_by_folder(root: Path) -> tuple[pd.DataFrame, str, list[str]]:
    """Return one row for each image in a folder per rank.

    Beside the rows it returns what to call them, and sentences about images that are left out. The
    folders may also lie below folders called train, val and test.

    Raises:
        InputError: There is no such image, or a folder that cannot be read.
    """
    scan = scan_folder(root)
    if scan.unreadable:
        raise scan.unreadable[0]

    folders = _folders(root, "*")
    in_splits = all(path.name in SPLITS for path in folders)
    ranks = _folders(root, "*/*") if in_splits else folders

    files: list[Path] = []
    for folder in folders:
        files += sorted(folder.glob("*/*" if in_splits else "*"))
    images = [
        file
        for file in files
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]
    if not images:
        raise InputError(
            f"{root}: has neither labels.csv, with the columns path and label, nor a folder of "
            "images per rank; pass --labels FILE, or another --root."
        )

    paths = [image.relative_to(root).as_posix() for image in images]
    labels = [image.parent.name for image in images]
    table = pd.DataFrame({"path": paths, "where": paths, "label": labels})
    if in_splits:
        table["split"] = [image.parent.parent.name for image in images]
    title = f"a folder per rank, {len(files) - len(images):,} other files left out"
    return table, title, _left_out(root, ranks, images, scan.images)


def _folders(root: Path, pattern: str) -> list[Path]:
    """Return the folders that a pattern matches, in order; hidden ones are left out."""
    matches = sorted(root.glob(pattern))
    return [path for path in matches if path.is_dir() and not path.name.startswith(".")]


def _left_out(
    root: Path, ranks: Sequence[Path], images: Sequence[Path], all_images: Sequence[Path]
) -> list[str]:
    """Return sentences about folders of ranks without an image, and about images elsewhere.

    Args:
        root: The folder of all.
        ranks: The folders of the ranks.
        images: The images that are read, all directly in one of them.
        all_images: Those that lie anywhere under `root`.
    """
    messages = []
    filled = {image.parent for image in images}
    empty = [path.relative_to(root).as_posix() for path in ranks if path not in filled]
    if empty:
        messages.append(f"{len(empty):,} folders without an image: {', '.join(empty):.200}")

    read = set(images)
    deeper = list[Path]()
    beside = list[Path]()
    for path in all_images:
        if path in read:
            continue
        if any(path.is_relative_to(folder) for folder in ranks):
            deeper.append(path)
        else:
            beside.append(path)

    if deeper:
        messages.append(_elsewhere(root, deeper, "deeper than in the folder of a rank"))
    if beside:
        messages.append(_elsewhere(root, beside, "beside the folders of the ranks"))
    return messages


def _elsewhere(root: Path, images: Sequence[Path], where: str) -> str:
    """Return the sentence about images that lie where none is read."""
    first = images[0].relative_to(root).as_posix()
    return f"{len(images):,} images {where} are left out, the first is {first:.200}"
