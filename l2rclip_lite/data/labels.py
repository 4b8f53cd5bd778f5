"""Your own labels: which ranks there are, and which of them each label means."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from l2rclip_lite.data.table import first_row
from l2rclip_lite.errors import InputError
from l2rclip_lite.method.ranks import Ranks, check_count, composed, number_words

LabelsAre = Literal["names", "index", "position"]
# how a user names the ranks
UserRanks = str | Sequence[str | int | float] | np.ndarray | pd.Series | range | None


def as_numbers(texts: "Sequence[str] | np.ndarray | pd.Series[str]") -> "pd.Series[float]":
    """Return what is written as a finite number; NaN for words.

    Example:
        >>> as_numbers(["03", "3.0", "ripe", "inf"]).tolist()
        [3.0, 3.0, nan, nan]
    """
    values = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").astype(float)
    return values.where(np.isfinite(values))


def in_words(values: Iterable[float]) -> list[str]:
    """Return numbers as a sentence says them.

    Example:
        >>> in_words([21, 0.5])
        ['twenty one', '0.5']
    """
    words = []
    for value in values:
        is_whole = value % 1 == 0
        words.append(number_words(int(value)) if is_whole else f"{value:g}")
    return words


def label_space(
    table: pd.DataFrame, ranks: UserRanks | Ranks, template: str | None, labels_are: LabelsAre
) -> tuple[Ranks, list[str]]:
    """Return the ranks and sentences about them, and give the table a column `target`.

    Args:
        table: Columns `label` and `where`.
        ranks: As `load_csv` takes them; or ranks, of which the names and numbers are taken, and not
            the template.
        template: As `load_csv` takes it.
        labels_are: What a label is: "names", "index" or "position".

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame(
        ...     {"label": ["03", "1", "3.0", "3"], "where": ["row 2", "row 3", "row 4", "row 5"]}
        ... )
        >>> space, messages = label_space(table, None, None, "names")
        >>> space.names, space.values, table["target"].tolist()
        (('one', 'three'), (1.0, 3.0), [1, 0, 1, 1])
        >>> messages
        ['ranks: the 2 numbers found as labels, 1 to 3']
        >>> label_space(table, space, None, "names")[0].values  # a new table, by the ranks of a run
        (1.0, 3.0)
    """
    row = first_row(table, table["label"] == "")
    if row:
        raise InputError(f"{row['where']}: the label is blank; fill it in, or remove the row.")

    messages = []
    if ranks is None:
        names = _numbers_of_labels(table, labels_are)
        ends = f"{float(names[0]):g} to {float(names[-1]):g}"
        messages = [f"ranks: the {len(names)} numbers found as labels, {ends}"]
    elif not isinstance(ranks, Ranks):
        names = _names(ranks)
    elif list(ranks.names) == in_words(ranks.values):
        names = [str(value) for value in ranks.values]
    else:
        names = list(ranks.names)

    space = ranks_of_names(names, template)
    table["target"] = targets(table, names, labels_are)
    return space, messages


def ranks_of_names(names: UserRanks, template: str | None) -> Ranks:
    """Return the ranks that a user names, lowest first; numbers are their own values.

    Args:
        names: As `load_csv` takes the ranks.
        template: As `load_csv` takes it.

    Raises:
        InputError: See `Ranks`; also a text that names none.

    Example:
        >>> ranks_of_names("7:9", "{rank} spots").sentences
        ['seven spots', 'eight spots', 'nine spots']
        >>> ranks_of_names("fresh, ripe", None).sentences
        ['a photo of a fresh object', 'a photo of a ripe object']
    """
    names = _names(names)
    values = as_numbers(names)
    if values.notna().all():
        sentence = "a photo of grade {rank}" if template is None else template
        return Ranks(tuple(in_words(values)), tuple(values), sentence)

    sentence = "a photo of a {rank} object" if template is None else template
    return Ranks(tuple(names), tuple(range(len(names))), sentence)


def _names(ranks: UserRanks) -> list[str]:
    """Return the ranks as a user wrote them: a sequence, "fresh,ripe", or "0:9".

    Raises:
        InputError: Nothing, or numbers that run downwards or are too many.
    """
    if ranks is not None and not isinstance(ranks, str):
        return [str(name).strip() for name in ranks]

    ends = re.fullmatch(r"\s*(-?\d{1,9})\s*:\s*(-?\d{1,9})\s*", ranks or "")
    if ends is not None:
        numbers = range(int(ends[1]), int(ends[2]) + 1)
        check_count(len(numbers))
        ranks = ",".join(map(str, numbers))
    if not ranks or (":" in ranks and "," not in ranks):
        raise InputError(
            f"ranks: {ranks!r:.80} names none; write them lowest first, as in fresh,ripe or 0:9."
        )
    return [name.strip() for name in ranks.split(",")]


def _numbers_of_labels(table: pd.DataFrame, labels_are: LabelsAre) -> list[str]:
    """Return the different labels in their order, if all are numbers.

    Raises:
        InputError: A label that is no number, or a `labels_are` that needs ranks.
    """
    if labels_are != "names":
        raise InputError(
            "csv: --labels-are index or position counts the ranks; give them by --ranks."
        )

    labels = as_numbers(table["label"])
    row = first_row(table, labels.isna())
    if row:
        words = ",".join(sorted(set(table["label"])))
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is no number; correct it, or, if it "
            f"names a rank, write all in their order, lowest first: --ranks {words!r:.900}"
        )

    return [str(value) for value in sorted(set(labels))]


def targets(table: pd.DataFrame, names: Sequence[str], labels_are: LabelsAre) -> "pd.Series[int]":
    """Return the rank index of each label.

    Where all ranks are numbers, labels are numbers, too: "03" and "3.0" are 3. Words are compared
    letter by letter, in composed form: macOS names a folder "e" and an accent, others "é".

    Args:
        table: Columns `label` and `where`.
        names: The ranks as the user wrote them.
        labels_are: What a label is.

    Raises:
        InputError: A label that is no rank, or that could be read in two ways.

    Example:
        >>> table = pd.DataFrame({"label": ["0", "1"], "where": ["row 2", "row 3"]})
        >>> targets(table, ["1", "2"], "names")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: row 2: the label '0' is no rank; write one of 1, 2, or say
        what labels are: --labels-are names, index (from 0) or position (from 1).
    """
    spellings = list(names)
    if labels_are != "names":
        start = 1 if labels_are == "position" else 0
        spellings = [str(start + rank) for rank in range(len(names))]

    values = as_numbers(spellings)
    labels = as_numbers(table["label"])
    if values.notna().all():
        target = labels.map({value: rank for rank, value in enumerate(values)})
    else:
        rank_of = {composed(name): rank for rank, name in enumerate(spellings)}
        target = table["label"].map(composed).map(rank_of)

    row = first_row(table.assign(number=labels), target.isna())
    if row:
        # a number may count ranks that are words
        kind = "name" if pd.notna(row["number"]) and values.isna().any() else "rank"
        raise InputError(
            f"{row['where']}: the label {row['label']!r:.80} is no {kind}; write one of "
            f"{', '.join(spellings):.200}, or say what labels are: --labels-are names, "
            "index (from 0) or position (from 1)."
        )
    return target.astype(int)
