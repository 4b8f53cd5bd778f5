"""What is known about each data set before an image is seen.

The table itself is `benchmarks.toml`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import TypeAdapter

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, Split, validated
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import sha256_of
from l2rclip_lite.method.ranks import Ranks


@dataclass(frozen=True)
class Protocol:
    """One published way to cut a data set into training and test part.

    Args:
        summary: What it is, in words.
        files: The list files; `{fold}` and `{category}` are filled in.
        cut: How the parts follow from the lists: "second" (the second file is for testing), "fold"
            (the file of this fold is), "others" (all files but that of the fold are, which is
            counted from 1), "column" (the column `database` names the part), "authors" (BRACOL's),
            "decades" (drawn within every rank), "five" (drawn) or "fifths" (three fifths to learn
            from, the next one for validation, whole subjects where they are known; as a column
            `fold` says, if the list has one).
        folds: Its folds, none where there is only one split.
        by_subject: Whether validation takes whole subjects.
    """

    summary: str
    files: Sequence[str] = ()
    cut: str = ""
    folds: Sequence[int] = ()
    by_subject: bool = False


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Args:
        card: Source, licence, citation, terms, known leakage.
        images: How many there are, in words.
        protocols: By name; "" where there is only one.
        ranks: The label space; None where the user chooses it.
        lists: The folder of its published lists, below `datalists`; "" if they lie at the root.
        hint: What to do where they are not there.
        example: The path of an image, as the owner's folder has it; tests fill in `{number}`,
            `{subject}` of six digits, `{shot}`, `{fold}`, `{label}` and `{part}`.
        first: The label of the lowest rank.
        step: From the label of one rank to that of the next; with a `span`, labels between two
            belong to the lower.
        pattern: How the name of an image is made; the group `subject` becomes a column.
        columns: Of a list with a header; the first two are name and label.
        group: The column that says who or what an image shows, where its name does not.
        neighbours: How many numbers `subject` in a row are one subject: neighbouring photographs
            may show one tree.
        keep: How many components of a path name an image.
        suffix: What the lists leave out at the end of a name.
        upright: Whether the images have an up and a down.
        span: The lowest and the highest label, if labels beyond the ranks join the ends; they are
            rounded then.
        original: Of a data set whose owners publish no such list: their `files`, and of a CSV file
            the `columns` of name and measure and the `polynomial` that makes labels of measures.
        categories: Parts of the data set that are data sets of their own.
        url: Where it, or its lists, may be fetched from; "" where no SHA-256 of the files is known.
        sha256: Of a published file.
    """

    card: Card
    images: str
    protocols: Mapping[str, Protocol]
    ranks: Any = None
    lists: str = ""
    hint: str = ""
    example: str = ""
    first: int = 0
    step: int = 1
    pattern: str = r".+\.\w+"
    columns: Sequence[str] = ("filename", "age")
    group: str = ""
    neighbours: int = 1
    keep: int = 1
    suffix: str = ""
    upright: bool = True
    span: Sequence[int] = ()
    original: Mapping[str, Any] = field(default_factory=dict)
    categories: Sequence[str] = ()
    url: str = ""
    sha256: str = ""


def _data_set(name: str, table: dict[str, Any]) -> DataSet:
    """Return one data set from its table in `benchmarks.toml`."""
    table["card"]["name"] = name
    ranks = table.get("ranks")
    if ranks and "names" in ranks:
        table["ranks"] = TypeAdapter(Ranks).validate_python(ranks)
    elif ranks:
        table["ranks"] = Ranks.integers(**ranks)
    return TypeAdapter(DataSet).validate_python(table)


_TOML = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
DATA_SETS = {name: _data_set(name, table) for name, table in _TOML.items()}


def cards_table() -> pd.DataFrame:
    """Return title, number of ranks, unit, number of images and licence of every data set.

    Example:
        >>> cards_table().loc["morph", ["ranks", "unit", "images"]].tolist()
        [62, 'years', '55,134']
    """
    rows = []
    for name, facts in DATA_SETS.items():
        rows.append(
            {
                "name": name,
                "title": facts.card.title,
                "ranks": len(facts.ranks) if facts.ranks else "any",
                "unit": facts.ranks.unit if facts.ranks else "grade",
                "images": facts.images if facts.images[0].isdigit() else "any",
                "licence": facts.card.licence.split(";")[0],
            }
        )
    return pd.DataFrame(rows).set_index("name")


@validated
def load_retinamnist(root: str | Path = "retinamnist") -> OrdinalDataset:
    """Return fundus photographs with grades of diabetic retinopathy, 0 to 4.

    The split is the one that MedMNIST publishes. The npz is read here: the package medmnist would
    bring more packages than it saves lines.

    Images of 28 pixels suggest an input of 112: nothing is gained by enlarging them further. A
    logistic regression on frozen features of `mini`, in five folds of train + val, has accuracy
    0.534 and MAE 0.818 at 112 pixels, 0.507 and 0.887 at 224, for four times the work.

    Args:
        root: A folder with `retinamnist.npz`, or that file.

    Returns:
        1,080 training, 120 validation and 400 test images.

    Raises:
        InputError: No such file there, or a file that is not the published one.

    Example:
        >>> load_retinamnist("nowhere.npz")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: nowhere.npz is not the published file of 28 pixels; get it
        by `l2rclip data retinamnist --download DIR`.
    """
    facts = DATA_SETS["retinamnist"]
    file = Path(root)
    if file.is_dir():
        file = file / "retinamnist.npz"
    if not file.is_file() or sha256_of(file) != facts.sha256:
        raise InputError(
            f"{file} is not the published file of 28 pixels; "
            "get it by `l2rclip data retinamnist --download DIR`."
        )

    splits: dict[str, Any] = {}
    with np.load(file) as archive:
        for split in SPLITS:
            images = [Image.fromarray(image) for image in archive[f"{split}_images"]]
            labels = archive[f"{split}_labels"][:, 0].tolist()
            paths = [f"{split}/{row:04d}" for row in range(len(labels))]
            splits[split] = Split(paths, labels, images)

    return OrdinalDataset(
        "retinamnist",
        **splits,
        ranks=facts.ranks,
        card=facts.card,
        image_size=112,
        protocol=("the published split, images of 28 pixels",),
    )
