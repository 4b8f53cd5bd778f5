"""Your own images, graded in a table or sorted into a folder per rank."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from l2rclip_lite.data.base import Card, OrdinalDataset
from l2rclip_lite.data.options import Seed, validated
from l2rclip_lite.data.own_images.files import files_inside
from l2rclip_lite.data.own_images.labels import LabelsAre, UserRanks, label_space
from l2rclip_lite.data.own_images.reading import LabelTable, images_by_folder, own_table
from l2rclip_lite.data.splits import draw_splits
from l2rclip_lite.data.table import as_dataset, keep_present
from l2rclip_lite.errors import InputError, plural
from l2rclip_lite.files import is_file


@validated
def load_csv(  # noqa: PLR0913  (an entry point)
    root: str | Path | None = None,
    labels: LabelTable | None = None,
    ranks: UserRanks = None,
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

    **Columns.** Upper and lower case of their names do not matter, and a line of `protocol` says
    where they differ. A column that is there twice is refused.

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
    root = _checked_root(root)
    _check_fold(fold, folds)

    columns = {
        "path": path_column,
        "label": label_column,
        "subject": group_column,
        "split": split_column,
    }
    table, title, messages = _read(root, labels, columns)
    space, rank_messages = label_space(table, ranks, template, labels_are)
    messages += rank_messages + draw_splits(table, folds or 0, fold or 1, val_share, seed)
    card = _card(root, len(table), title, messages)

    present, missing, missing_messages = keep_present(table, "csv", root, allow_missing)
    return as_dataset(
        card,
        replace(space, unit=unit),
        present,
        protocol=messages + missing_messages,
        missing=missing,
        upright=True,
        allow_empty_ranks=allow_empty_ranks,
    )


def _checked_root(root: str | Path | None) -> str | Path:
    """Return the folder of the images as it was written, if it is one."""
    if root is None or not os.path.isdir(root):
        raise InputError(
            f"csv: pass root=... (--root DIR), the folder of the images, not {root!r:.99}."
        )
    return root


def _check_fold(fold: int | None, folds: int | None) -> None:
    """Refuse a fold that is none of the folds."""
    if fold is not None and fold > (folds or 0):
        raise InputError(f"csv: there is no fold {fold}; they count from 1 to folds=... (--folds).")


def _card(root: str | Path, n_images: int, title: str, messages: Sequence[str]) -> Card:
    """Return the data card of a user's own images."""
    return Card(
        "csv",
        title=f"{plural(n_images, 'image')} of {title}",
        source=str(root),
        notes=f"{'; '.join(messages)}.",
    )


def _read(
    root: str | Path, labels: LabelTable | None, columns: dict[str, str]
) -> tuple[pd.DataFrame, str, list[str]]:
    """Return a row and a file for each image, what to call the rows, and sentences about them."""
    folder = Path(root)
    file = folder / "labels.csv"
    if labels is not None:
        table, title, messages = own_table(folder, labels, columns)
    elif is_file(file) or os.path.lexists(file):
        table, title, messages = own_table(folder, file.name, columns)
    else:
        table, title, messages = images_by_folder(folder)

    table["file"] = files_inside(root, table)
    return table, title, messages
