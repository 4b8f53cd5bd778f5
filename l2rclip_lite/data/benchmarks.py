"""What is known about each data set before an image is seen.

The table itself is `benchmarks.toml`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from l2rclip_lite.data.base import Card
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
        example: The path of an image, as the owner's folder has it.
        first: The label of the lowest rank.
        step: From the label of one rank to that of the next; with a `span`, labels between two
            belong to the lower.
        pattern: How the name of an image is made; the group `subject` becomes a column, `named` is
            the label again.
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


def _data_set(name: str, card: dict[str, str], protocols: dict[str, Any], **fields: Any) -> DataSet:
    """Return one data set from its table in `benchmarks.toml`."""
    ranks = fields.get("ranks")
    if ranks:
        if "names" in ranks:
            fields["ranks"] = Ranks.from_dict(ranks)
        else:
            fields["ranks"] = Ranks.integers(**ranks)

    by_name = {each: Protocol(**table) for each, table in protocols.items()}
    return DataSet(Card(name, **card), protocols=by_name, **fields)


_TOML = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
DATA_SETS: dict[str, DataSet] = {name: _data_set(name, **table) for name, table in _TOML.items()}


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
