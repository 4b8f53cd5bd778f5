"""Your own labels: which ranks there are, and which of them each label means."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from l2rclip_lite.data.table import refuse
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks, number_words

MOST = 200  # different numbers that pass for ranks if nobody names them
Kind = Literal["names", "index", "position"]
Given = str | Sequence[str | int | float] | None  # how a user names the ranks


def numbers(texts: Iterable[str]) -> "pd.Series[float]":
    """What is written as a finite number; NaN for words.

    Example:
        >>> numbers(["03", "3.0", "ripe", "inf"]).tolist()
        [3.0, 3.0, nan, nan]
    """
    found = pd.to_numeric(pd.Series([*texts], dtype=object), errors="coerce").astype(float)
    return found.where(np.isfinite(found))


def in_words(values: Iterable[float]) -> list[str]:
    """Numbers as a sentence says them.

    Example:
        >>> in_words([21, 0.5])
        ['twenty one', '0.5']
    """
    return [number_words(int(value)) if value % 1 == 0 else f"{value:g}" for value in values]


def label_space(
    table: pd.DataFrame, ranks: Given | Ranks, template: str | None, kind: Kind
) -> tuple[Ranks, list[str]]:
    """The ranks, and what there is to say about them; the table gets a column `target`.

    Args:
        table: Columns `label` and `where`.
        ranks: As `load_csv` takes them, or the ranks themselves.
        template: As `load_csv` takes it.
        kind: What a label is: "names", "index" or "position".

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame(
        ...     {"label": ["03", "1", "3.0", "3"], "where": ["row 2", "row 3", "row 4", "row 5"]}
        ... )
        >>> space, said = label_space(table, None, None, "names")
        >>> space.names, space.values, table["target"].tolist(), said
        (('one', 'three'), (1.0, 3.0), [1, 0, 1, 1], ['ranks: the 2 numbers found as labels, 1 to 3'])
        >>> label_space(table, space, None, "names")[0].values  # a new table, by the ranks of a run
        (1.0, 3.0)
    """
    refuse(table, table["label"] == "", "the label is blank; fill it in, or remove the row.")
    number, said = numbers(table["label"]), list[str]()
    if ranks is None and kind != "names":
        raise InputError(
            "csv: --labels-are index or position counts the ranks; give them by --ranks."
        )
    if ranks is None:
        words = "the label {label!r:.80} is a word; write all in their order, lowest first: --ranks {found!r:.900}"
        refuse(table, number.isna(), words, found=",".join(sorted(set(table["label"]))))
        ranks = sorted(set(number))
        said = [f"ranks: the {len(ranks)} numbers found as labels, {ranks[0]:g} to {ranks[-1]:g}"]
        if len(ranks) > min(MOST, len(table) / 2):
            raise InputError(
                f"csv: {len(ranks):,} different labels are too many; round them, or pass ranks."
            )
    elif isinstance(ranks, Ranks):
        ranks = ranks.values if list(ranks.names) == in_words(ranks.values) else ranks.names
    elif isinstance(ranks, str):
        ends = re.fullmatch(r"\s*(-?\d{1,6})\s*:\s*(-?\d{1,6})\s*", ranks)
        ranks = range(int(ends[1]), int(ends[2]) + 1) if ends else ranks.split(",")
    names = [str(name).strip() for name in ranks]
    values, written, sentence = numbers(names), names, "a photo of a {rank} object"
    if numeric := bool(values.notna().all()):
        written, sentence = in_words(values), "a photo of grade {rank}"
    space = Ranks(
        tuple(written), tuple(values if numeric else range(len(names))), template or sentence
    )
    table["target"] = targets(table, names, kind)
    return space, said


def targets(table: pd.DataFrame, names: Sequence[str], kind: Kind) -> "pd.Series[int]":
    """The rank index of each label.

    Args:
        table: Columns `label` and `where`.
        names: The ranks as the user wrote them.
        kind: What a label is.

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame({"label": ["0", "1"], "where": ["row 2", "row 3"]})
        >>> targets(table, ["1", "2"], "names")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: row 2: the label '0' is none of the numbers 1 to 2; correct it or --ranks, or say
        what labels are: --labels-are names, index (from 0) or position (from 1).
    """
    spelt = (
        names
        if kind == "names"
        else [str(rank + (kind == "position")) for rank in range(len(names))]
    )
    number, values = numbers(table["label"]), numbers(spelt)
    said = {"low": spelt[0], "high": spelt[-1], "names": ", ".join(spelt)}
    if values.notna().all():
        target = number.map({value: rank for rank, value in enumerate(values)})
        wrong = "is none of the numbers {low} to {high}; correct it or --ranks, or say what labels are: "
        wrong += "--labels-are names, index (from 0) or position (from 1)."
    else:
        target = table["label"].map({name: rank for rank, name in enumerate(spelt)})
        wrong = "is no name, but may count the ranks: pass --labels-are index (0 is {low}) or position (1 is {low})."
        refuse(table, target.isna() & number.notna(), f"the label {{label!r:.80}} {wrong}", **said)
        wrong = "is no rank; write one of {names}."
    refuse(table, target.isna(), f"the label {{label!r:.80}} {wrong}", **said)
    return target.astype(int)
