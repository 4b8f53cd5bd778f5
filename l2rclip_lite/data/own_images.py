"""Your own images: graded in a table, or sorted into a folder per rank."""

import os
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from l2rclip_lite.config import LabelsAre
from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Seed, validated
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.reading import scan_folder
from l2rclip_lite.data.splits import draw_splits
from l2rclip_lite.data.table import (
    UserRanks,
    label_space,
    read_columns,
    refuse,
    refuse_repeats,
    splits_of_present,
)
from l2rclip_lite.errors import InputError, plural, unreadable

COFFEE = Path(__file__).with_name("coffee")  # images, labels.csv, and the authors' licence
COLUMN_OPTIONS = ": --path-column, --label-column, --group-column, --split-column"
LabelTable = str | Path | pd.DataFrame


@validated
def load_csv(  # noqa: PLR0913  (an entry point)
    root: str | Path | None = None,
    labels: LabelTable | None = None,
    ranks: UserRanks | None = None,
    template: str | None = None,
    unit: str = "grade",
    labels_are: LabelsAre = "names",
    path_column: str = "path",
    label_column: str = "label",
    group_column: str = "group",
    split_column: str = "split",
    folds: Annotated[int, Field(ge=2, le=100)] | None = None,
    fold: Annotated[int, Field(ge=1)] | None = None,
    val_share: Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)] = 0.15,
    seed: Seed = 0,
    allow_empty_ranks: bool = False,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Return your own images, graded in a table or sorted into a folder per rank.

    **Labels.** A label is the name of a rank. Where all names are numbers, names and labels are
    values: "03", "3.0" and 3 are the number 3, never an index. `labels_are="index"` counts the
    ranks from 0 instead, "position" from 1. A number under names that are words may be either, and
    is refused until `labels_are` decides.

    **Columns.** Upper and lower case of their names do not matter. A column that is there twice is
    refused.

    **Groups.** Images of one group (a patient, a plant) stay in one split when splits or folds are
    drawn.

    **Splits.** Those of the table; if it has none, 70/15/15 within every rank. If it has no `val`,
    a part of its `train`.

    Args:
        root: The folder that the paths start from.
        labels: A CSV, TSV or Parquet file, its path from `root` or from here, or a table of pandas.
            None takes labels.csv in `root`; if there is none, each sub-folder is a rank, also below
            folders called train, val and test.
        ranks: The ranks, lowest first, in a list or an array, as "fresh,ripe", or as "0:9" for
            every whole number from 0 to 9. None takes the numbers found as labels, in their order.
        template: A sentence with exactly one `{rank}`; None takes "a photo of a {rank} object", for
            numbers "a photo of grade {rank}".
        unit: What the numbers of the ranks count, such as "weeks".
        labels_are: "names" (of ranks), "index" (from 0) or "position" (from 1).
        path_column: Which column names the image.
        label_column: Which column holds the label.
        group_column: Which column names the group; `group` need not be there.
        split_column: Which column names the split: train, val or test; `split` need not be there.
        folds: Draw so many test parts that together hold every image; the table's splits are not
            used.
        fold: Which of them, from 1.
        val_share: How much becomes validation where it is drawn.
        seed: Decides the splits and folds that are drawn.
        allow_empty_ranks: Whether a rank may have no training image.
        allow_missing: Whether to go on without the listed images that are not there.

    Returns:
        Three splits in the order of the table, with the group of each image as its `subjects`.

    Raises:
        InputError: Anything that cannot be used, with the file, the row and the fix.

    Example:
        >>> load_csv(labels="bananas.csv")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: pass root=... (--root DIR), the folder of the images,
        not None.
    """
    if root is None or not os.path.isdir(root):
        raise InputError(
            f"csv: pass root=... (--root DIR), the folder of the images, not {root!r:.99}."
        )
    if fold is not None and fold > (folds or 0):
        raise InputError(f"csv: there is no fold {fold}; they count from 1 to folds=... (--folds).")

    columns = {
        "path": path_column,
        "label": label_column,
        "subject": group_column,
        "split": split_column,
    }
    if labels is None and os.path.exists(os.path.join(root, "labels.csv")):
        labels = "labels.csv"
    if labels is not None:
        table, title = own_table(Path(root), labels, columns)
    else:
        table, title = images_by_folder(Path(root))
    table["file"] = files_inside(root, table)

    space, messages = label_space(table, ranks, template, labels_are)
    messages.append(draw_splits(table, folds or 0, fold or 1, val_share, seed))
    card = Card(
        "csv",
        title=f"{plural(len(table), 'image')} of {title}",
        source=str(root),
        notes=f"{'; '.join(messages)}.",
    )

    parts, missing_messages = splits_of_present(table, "csv", root, allow_missing)
    return OrdinalDataset(
        "csv",
        **parts,
        ranks=replace(space, unit=unit),
        card=card,
        allow_empty_ranks=allow_empty_ranks,
        upright=True,
        protocol=(*messages, *missing_messages),
    )


@validated
def load_coffee() -> OrdinalDataset:
    """Return photographs of coffee leaves in five grades of damage, which ship with the package.

    Example:
        >>> load_coffee().counts("train")
        [98, 110, 106, 74, 37]
    """
    facts = DATA_SETS["coffee"]
    ranks = facts.ranks
    data = load_csv(COFFEE, ranks=ranks.names, template=ranks.template)
    return replace(data, name="coffee", card=facts.card, upright=facts.upright)


def own_table(root: Path, labels: LabelTable, columns: dict[str, str]) -> tuple[pd.DataFrame, str]:
    """Return a user's table with our names of columns, and what to call it.

    Args:
        root: What a relative file starts from, if it is there.
        labels: A file, or a table of pandas.
        columns: For `path`, `label`, `subject` and `split` the name in the table. Columns called
            `group` and `split` need not be there.

    Raises:
        InputError: A file that cannot be used, a column that is missing or has two roles, or a
            group that is blank.
    """
    names = {name.strip().casefold() for name in columns.values()} - {"where"}
    if len(names) < len(columns):
        raise InputError(
            f"csv: {', '.join(columns.values())} must be different columns, none called where; "
            f"name others{COLUMN_OPTIONS}."
        )

    defaults = {"subject": "group", "split": "split"}  # a column that a user names must be there
    optional = [name for role, name in columns.items() if name == defaults.get(role)]
    needed = [name for name in columns.values() if name not in optional]

    source: Path | pd.DataFrame
    if isinstance(labels, pd.DataFrame):
        source = labels
        title = "a DataFrame"
    else:
        source = root / labels  # an absolute one wins
        if not os.path.exists(source) and os.path.exists(labels):
            source = Path(labels)
        title = source.name
    advice = f", or name yours{COLUMN_OPTIONS}"
    table = read_columns(source, needed, optional, advice=advice)
    role_of = {name: role for role, name in columns.items()}
    table = table.rename(columns=role_of)
    if "subject" in table:
        refuse(table, table["subject"] == "", "subject", "is blank; name who is shown.")
    return table, title


def images_by_folder(root: Path) -> tuple[pd.DataFrame, str]:
    """Return one row for each image in a folder per rank, and what to call the rows.

    The folders may also lie below folders called train, val and test.

    Raises:
        InputError: There is no such image, or a folder that cannot be read.
    """
    images, problems = scan_folder(root)
    if problems:
        raise problems[0]

    paths = [image.relative_to(root) for image in images]
    in_splits = all(path.parts[0] in SPLITS for path in paths if len(path.parts) > 1)
    depth = 3 if in_splits else 2
    read = [path for path in paths if len(path.parts) == depth]
    if not read:
        raise InputError(
            f"{root}: has neither labels.csv, with the columns path and label, nor a folder of "
            "images per rank; pass --labels FILE, or another --root."
        )

    names = [path.as_posix() for path in read]
    labels = [path.parent.name for path in read]
    table = pd.DataFrame({"path": names, "where": names, "label": labels})
    if in_splits:
        table["split"] = [path.parts[0] for path in read]

    return table, f"a folder per rank, {len(paths) - len(read):,} other images left out"


def files_inside(root: str | Path, table: pd.DataFrame) -> list[str]:
    """Return the file that each `path` of a table means, links followed; "" where there is none.

    No image is opened.

    Args:
        root: The folder that the paths start from.
        table: Columns `path` and `where`.

    Raises:
        InputError: A path that is blank or leads out of the folder, or two rows that mean one file.

    Example:
        >>> files_inside(
        ...     "data", pd.DataFrame({"path": ["../secret.png"], "where": ["labels.csv row 2"]})
        ... )
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: labels.csv row 2: the path '../secret.png' leads out of the
        folder data, as it is or by a link; copy the image itself there.
    """
    nameless = (table["path"] == "") | table["path"].str.contains("\0", regex=False)
    refuse(table, nameless, "path", "names no file; fill it in, or remove the row.")

    top = os.path.join(os.path.realpath(root), "")
    listed = cache(partial(_listed, top))  # each folder once: a million files take long
    files = []
    present = []
    for path in table["path"].tolist():
        cut = path.rfind("/") + 1
        name = path[cut:]
        place, regular = listed(path[:cut])
        file = place + name
        if name not in regular:  # nothing, a link, or capitals that a disk does not tell apart
            file = os.path.realpath(file)
        files.append(file)
        present.append(file if name in regular or os.path.isfile(file) else "")

    column = pd.Series(files, index=table.index, dtype=object)
    problem = f"leads out of the folder {root}, as it is or by a link; copy the image itself there."
    refuse(table, ~column.str.startswith(top), "path", problem)
    refuse_repeats(table, column)
    return present


def _listed(top: str, folder: str) -> tuple[str, set[str]]:
    """Return where a folder is, with a separator at its end, and its files that are no links."""
    folder = os.path.join(os.path.realpath(os.path.join(top, folder)), "")
    try:
        entries = [entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        return folder, {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return folder, set()
    except OSError as error:
        raise unreadable(folder.rstrip(os.sep), error) from error
